// A hand's skeleton: residuals of points on its bones, and their Jacobian, derived by hand.
//
// The wrist turns (about z, y, then x) and moves; each of five fingers has four joints: one turns
// sideways (about z), and three bend (about x). A point p on a bone lies at R p + t. The derivative
// with respect to an angle is the geometric Jacobian of robotics, axis x (point - joint); see
// Siciliano et al., "Robotics: Modelling, Planning and Control", section 3.1.
//
// Parameters: 3 angles and 3 coordinates of the wrist, then 4 angles per finger: 26.

#include <cmath>

namespace {

constexpr int FINGERS = 5, BONES = 3, PARAMETERS = 6 + 4 * FINGERS;

struct Vector { double x, y, z; };
struct Matrix { double a[3][3]; };

Vector operator-(Vector p, Vector q) { return {p.x - q.x, p.y - q.y, p.z - q.z}; }
Vector operator+(Vector p, Vector q) { return {p.x + q.x, p.y + q.y, p.z + q.z}; }

Vector cross(Vector p, Vector q) {
    return {p.y * q.z - p.z * q.y, p.z * q.x - p.x * q.z, p.x * q.y - p.y * q.x};
}

Vector operator*(const Matrix& m, Vector p) {
    return {m.a[0][0] * p.x + m.a[0][1] * p.y + m.a[0][2] * p.z,
            m.a[1][0] * p.x + m.a[1][1] * p.y + m.a[1][2] * p.z,
            m.a[2][0] * p.x + m.a[2][1] * p.y + m.a[2][2] * p.z};
}

Matrix operator*(const Matrix& m, const Matrix& n) {
    Matrix r;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            r.a[i][j] = m.a[i][0] * n.a[0][j] + m.a[i][1] * n.a[1][j] + m.a[i][2] * n.a[2][j];
    return r;
}

Vector column(const Matrix& m, int j) { return {m.a[0][j], m.a[1][j], m.a[2][j]}; }

Matrix about(int axis, double angle) {
    double c = std::cos(angle), s = std::sin(angle);
    if (axis == 0) return {{{1, 0, 0}, {0, c, -s}, {0, s, c}}};
    if (axis == 1) return {{{c, 0, s}, {0, 1, 0}, {-s, 0, c}}};
    return {{{c, -s, 0}, {s, c, 0}, {0, 0, 1}}};
}

struct Joint { Vector axis, centre; int parameter; };

void put(double* row, int parameter, Vector d) {
    row[parameter] = d.x;
    row[PARAMETERS + parameter] = d.y;
    row[2 * PARAMETERS + parameter] = d.z;
}

}  // namespace

// offsets: [fingers][bones][3], from joint to joint; points and targets: [fingers][bones][n][3];
// residuals: [fingers][bones][n][3]; jacobian: [fingers][bones][n][3][parameters].
extern "C" void hand(const double* theta, const double* offsets, const double* points,
                     const double* targets, long n, double* residuals, double* jacobian) {
    Matrix z = about(2, theta[0]), zy = z * about(1, theta[1]), wrist = zy * about(0, theta[2]);
    Vector home{theta[3], theta[4], theta[5]};
    Joint joints[7] = {{{0, 0, 1}, home, 0}, {column(z, 1), home, 1}, {column(zy, 0), home, 2}};
    long done = 0;
    for (int finger = 0; finger < FINGERS; finger++) {
        Matrix turned = wrist;
        Vector centre = home;
        int known = 3;
        for (int bone = 0; bone < BONES; bone++) {
            const double* o = offsets + 3 * (finger * BONES + bone);
            centre = centre + turned * Vector{o[0], o[1], o[2]};
            int parameter = 6 + 4 * finger + bone + (bone > 0);
            if (bone == 0) {
                joints[known++] = {column(turned, 2), centre, parameter++};
                turned = turned * about(2, theta[parameter - 1]);
            }
            joints[known++] = {column(turned, 0), centre, parameter};
            turned = turned * about(0, theta[parameter]);
            for (long i = 0; i < n; i++, done++) {
                const double* p = points + 3 * done;
                Vector at = turned * Vector{p[0], p[1], p[2]} + centre;
                const double* aim = targets + 3 * done;
                double* r = residuals + 3 * done;
                r[0] = at.x - aim[0], r[1] = at.y - aim[1], r[2] = at.z - aim[2];
                double* row = jacobian + 3 * PARAMETERS * done;
                for (int k = 0; k < 3 * PARAMETERS; k++) row[k] = 0;
                for (int k = 0; k < 3; k++) row[k * PARAMETERS + 3 + k] = 1;
                for (int k = 0; k < known; k++)
                    put(row, joints[k].parameter, cross(joints[k].axis, at - joints[k].centre));
            }
        }
    }
}
