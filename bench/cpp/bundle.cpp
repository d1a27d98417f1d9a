// Bundle adjustment: reprojection residuals and their Jacobians, derived by hand.
//
// A camera has 11 numbers: a rotation (axis times angle), its centre (3), focal length, principal
// point (2), and two coefficients of radial distortion. A point X is seen at
//
//     y = R(X - C),  p = (y0, y1) / y2,  f (1 + k1 |p|^2 + k2 |p|^4) p + x0
//
// R by Rodrigues' formula; see Triggs et al., "Bundle Adjustment - A Modern Synthesis" (1999), and
// Srajer et al., "A benchmark of selected algorithmic differentiation tools on some problems in
// computer vision and machine learning" (2018), for the objective. The residual is the difference
// to what was measured, times the observation's weight.

#include <cmath>

namespace {

// y = cos t v + s (r x v) + c r (r.v) with s = sin t / t, c = (1 - cos t) / t^2, t = |r|;
// dr: its derivatives by r (a column per number), turn: those by v, which are R.
void rotate(const double* r, const double* v, double* y, double dr[3][3], double turn[3][3]) {
    double square = r[0] * r[0] + r[1] * r[1] + r[2] * r[2], angle = std::sqrt(square);
    double cosine = std::cos(angle), s = std::sin(angle) / angle, c = (1 - cosine) / square;
    double along = r[0] * v[0] + r[1] * v[1] + r[2] * v[2];
    double across[3] = {r[1] * v[2] - r[2] * v[1], r[2] * v[0] - r[0] * v[2],
                        r[0] * v[1] - r[1] * v[0]};
    double by_s = (cosine - s) / square, by_c = (s - 2 * c) / square;
    const double skew[3][3] = {{0, -r[2], r[1]}, {r[2], 0, -r[0]}, {-r[1], r[0], 0}};
    const double units[3][3] = {{0, -v[2], v[1]}, {v[2], 0, -v[0]}, {-v[1], v[0], 0}};
    for (int i = 0; i < 3; i++) {
        y[i] = cosine * v[i] + s * across[i] + c * r[i] * along;
        for (int j = 0; j < 3; j++) {
            turn[i][j] = (i == j) * cosine + s * skew[i][j] + c * r[i] * r[j];
            dr[i][j] = r[j] * (-s * v[i] + by_s * across[i] + by_c * r[i] * along)
                       - s * units[i][j] + c * ((i == j) * along + r[i] * v[j]);
        }
    }
}

}  // namespace

// cameras: [n][11], points: [n][3], weights: [n], measured: [n][2];
// residuals: [n][2], jacobian: [n][2][15], by camera, point and weight.
extern "C" void bundle(const double* cameras, const double* points, const double* weights,
                       const double* measured, long n, double* residuals, double* jacobian) {
    for (long k = 0; k < n; k++) {
        const double *camera = cameras + 11 * k, *point = points + 3 * k;
        double v[3], y[3], by_r[3][3], turn[3][3];
        for (int i = 0; i < 3; i++) v[i] = point[i] - camera[3 + i];
        rotate(camera, v, y, by_r, turn);
        double f = camera[6], k1 = camera[9], k2 = camera[10], weight = weights[k];
        double p[2] = {y[0] / y[2], y[1] / y[2]}, square = p[0] * p[0] + p[1] * p[1];
        double radial = 1 + k1 * square + k2 * square * square, slope = k1 + 2 * k2 * square;
        for (int i = 0; i < 2; i++) {
            double* row = jacobian + 30 * k + 15 * i;
            double error = f * radial * p[i] + camera[7 + i] - measured[2 * k + i];
            residuals[2 * k + i] = weight * error;
            double by_p[2];
            for (int j = 0; j < 2; j++)
                by_p[j] = weight * f * ((i == j) * radial + 2 * slope * p[i] * p[j]);
            double by_y[3] = {by_p[0] / y[2], by_p[1] / y[2],
                              -(by_p[0] * p[0] + by_p[1] * p[1]) / y[2]};
            for (int j = 0; j < 3; j++) {
                double by_v = 0;
                row[j] = 0;
                for (int l = 0; l < 3; l++) {
                    row[j] += by_y[l] * by_r[l][j];
                    by_v += by_y[l] * turn[l][j];
                }
                row[3 + j] = -by_v;
                row[11 + j] = by_v;
            }
            row[6] = weight * radial * p[i];
            row[7] = weight * (i == 0);
            row[8] = weight * (i == 1);
            row[9] = weight * f * square * p[i];
            row[10] = weight * f * square * square * p[i];
            row[14] = error;
        }
    }
}
