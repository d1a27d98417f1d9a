// A long short-term memory over a sequence: the loss and its gradient, by hand through time.
//
// Hochreiter and Schmidhuber (1997), with the forget gate of Gers et al. (1999):
//
//     a = x W + h U + b;  i, f, o = sigmoid of its quarters 0, 1, 3;  g = tanh of quarter 2
//     c' = f c + i g;  h' = o tanh(c')
//
// The loss is the sum of (h' - y)^2 over all steps. Everything is double.

#include <cmath>
#include <vector>

namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

}  // namespace

// w: [inputs][4 n], u: [n][4 n], b: [4 n], x: [steps][inputs], y: [steps][n]; dw, du, db likewise.
extern "C" double lstm(const double* w, const double* u, const double* b, const double* x,
                       const double* y, long steps, long inputs, long n,
                       double* dw, double* du, double* db) {
    const long m = 4 * n;
    static thread_local std::vector<double> gates, cells, curved, states, by_a, by_h, by_c;
    gates.resize(steps * m);
    curved.resize(steps * n);
    cells.assign((steps + 1) * n, 0.0);
    states.assign((steps + 1) * n, 0.0);
    by_a.resize(m);
    by_h.assign(n, 0.0);
    by_c.assign(n, 0.0);
    double loss = 0;
    for (long t = 0; t < steps; t++) {
        double *__restrict__ a = &gates[t * m], *c = &cells[t * n], *h = &states[t * n];
        for (long j = 0; j < m; j++) a[j] = b[j];
        for (long i = 0; i < inputs; i++)
            for (long j = 0; j < m; j++) a[j] += x[t * inputs + i] * w[i * m + j];
        for (long i = 0; i < n; i++)
            for (long j = 0; j < m; j++) a[j] += h[i] * u[i * m + j];
        for (long j = 0; j < n; j++) {
            double in = sigmoid(a[j]), keep = sigmoid(a[n + j]), candidate = std::tanh(a[2 * n + j]),
                   out = sigmoid(a[3 * n + j]);
            double cell = keep * c[j] + in * candidate, curve = std::tanh(cell);
            a[j] = in, a[n + j] = keep, a[2 * n + j] = candidate, a[3 * n + j] = out;
            c[n + j] = cell, curved[t * n + j] = curve, h[n + j] = out * curve;
            double error = h[n + j] - y[t * n + j];
            loss += error * error;
        }
    }
    for (long k = 0; k < inputs * m; k++) dw[k] = 0;
    for (long k = 0; k < n * m; k++) du[k] = 0;
    for (long k = 0; k < m; k++) db[k] = 0;
    for (long t = steps - 1; t >= 0; t--) {
        const double *a = &gates[t * m], *c = &cells[t * n], *h = &states[t * n];
        double* __restrict__ d = by_a.data();
        for (long j = 0; j < n; j++) {
            double in = a[j], keep = a[n + j], candidate = a[2 * n + j], out = a[3 * n + j];
            double curve = curved[t * n + j];
            double dh = by_h[j] + 2 * (h[n + j] - y[t * n + j]);
            double dc = by_c[j] + dh * out * (1 - curve * curve);
            d[j] = dc * candidate * in * (1 - in);
            d[n + j] = dc * c[j] * keep * (1 - keep);
            d[2 * n + j] = dc * in * (1 - candidate * candidate);
            d[3 * n + j] = dh * curve * out * (1 - out);
            by_c[j] = dc * keep;
        }
        for (long i = 0; i < inputs; i++)
            for (long j = 0; j < m; j++) dw[i * m + j] += x[t * inputs + i] * d[j];
        for (long i = 0; i < n; i++) {
            double sum = 0;
            for (long j = 0; j < m; j++) {
                du[i * m + j] += h[i] * d[j];
                sum += u[i * m + j] * d[j];
            }
            by_h[i] = sum;
        }
        for (long j = 0; j < m; j++) db[j] += d[j];
    }
    return loss;
}
