/* pressure: 1 inputs, 1 outputs, 2 grades, in fixed point, weights of 16 bits. Written by mgdl 0.2.0.
   1008 bytes of constants, 134 bytes of local arrays, 304 multiply-adds
   largest error against the model: 0.00313706 on the self-test
   box of inputs: [0, 100]
   proven bound of the error in this box: 0.0520544
*/
#ifndef MGDL_HEADER_pressure_f7d620e664098e23
#define MGDL_HEADER_pressure_f7d620e664098e23
#ifdef MGDL_MODEL_pressure
#error "two models are called pressure here: export one of them under another name"
#endif
#define MGDL_MODEL_pressure

/* Where constants lie. In C with the extensions of GNU, avr-gcc leaves them in flash; anywhere else,
   what is const does not need it said. */
#ifndef MGDL_FLASH
#if defined(__AVR__) && defined(__FLASH) && !defined(__cplusplus) && !defined(__STRICT_ANSI__)
#define MGDL_FLASH __flash
#else
#define MGDL_FLASH
#endif
#endif

#include <stdint.h>

static MGDL_FLASH const float pressure_input_mean[1] = {
  50.0f};
static MGDL_FLASH const float pressure_input_factor[1] = {
  546.13336f};
static MGDL_FLASH const float pressure_output_mean[1] = {
  40.0f};
static MGDL_FLASH const float pressure_output_scale[1] = {
  30.0f};
static MGDL_FLASH const int16_t pressure_w1_1[8] = {
  16384, 16384, 16384, 16384, 16384, 16384, 16384, 16384};
static MGDL_FLASH const int64_t pressure_b1_1[8] = {
  447392427, 335544320, 223696213, 111848107, 0, -111848107, -223696213, -335544320};
static MGDL_FLASH const int8_t pressure_s1_1[8] = {
  15, 15, 15, 15, 15, 15, 15, 15};
static MGDL_FLASH const int16_t pressure_w1_2[8] = {
  1096, 1152, 2055, 3452, 5507, 8394, 12297, 17392};
static MGDL_FLASH const int64_t pressure_b1_2[1] = {
  -176223671};
static MGDL_FLASH const float pressure_u1_2[1] = {
  7.450581e-09f};
static MGDL_FLASH const int16_t pressure_w2_1[256] = {
  16384, 0, 0, 0, 0, 0, 0, 0, 16384, 0, 0, 0, 0, 0, 0, 0, 16384, 0, 0, 0, 0, 0, 0, 0, 16384, 0, 0, 0,
  0, 0, 0, 0, 16384, 0, 0, 0, 0, 0, 0, 0, 16384, 0, 0, 0, 0, 0, 0, 0, 16384, 0, 0, 0, 0, 0, 0, 0,
  16384, 0, 0, 0, 0, 0, 0, 0, 16384, 0, 0, 0, 0, 0, 0, 0, 16384, 0, 0, 0, 0, 0, 0, 0, 16384, 0, 0, 0,
  0, 0, 0, 0, 16384, 0, 0, 0, 0, 0, 0, 0, 16384, 0, 0, 0, 0, 0, 0, 0, 16384, 0, 0, 0, 0, 0, 0, 0,
  16384, 0, 0, 0, 0, 0, 0, 0, 16384, 0, 0, 0, 0, 0, 0, 0, 16384, 0, 0, 0, 0, 0, 0, 0, 16384, 0, 0, 0,
  0, 0, 0, 0, 16384, 0, 0, 0, 0, 0, 0, 0, 16384, 0, 0, 0, 0, 0, 0, 0, 16384, 0, 0, 0, 0, 0, 0, 0,
  16384, 0, 0, 0, 0, 0, 0, 0, 16384, 0, 0, 0, 0, 0, 0, 0, 16384, 0, 0, 0, 0, 0, 0, 0, 16384, 0, 0, 0,
  0, 0, 0, 0, 16384, 0, 0, 0, 0, 0, 0, 0, 16384, 0, 0, 0, 0, 0, 0, 0, 16384, 0, 0, 0, 0, 0, 0, 0,
  16384, 0, 0, 0, 0, 0, 0, 0, 16384, 0, 0, 0, 0, 0, 0, 0, 16384, 0, 0, 0, 0, 0, 0, 0, 16384, 0, 0, 0,
  0, 0, 0, 0};
static MGDL_FLASH const int64_t pressure_b2_1[32] = {
  0, -13981013, -27962027, -41943040, -55924053, -69905067, -83886080, -97867093, -111848107,
  -125829120, -139810133, -153791147, -167772160, -181753173, -195734187, -209715200, -223696213,
  -237677227, -251658240, -265639253, -279620267, -293601280, -307582293, -321563307, -335544320,
  -349525333, -363506347, -377487360, -391468373, -405449387, -419430400, -433411413};
static MGDL_FLASH const int8_t pressure_s2_1[32] = {
  14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14,
  14, 14, 14, 14, 14, 14, 14};
static MGDL_FLASH const int16_t pressure_w2_2[32] = {
  -585, 347, 409, 481, -1742, 655, 759, 877, -3101, 1155, 1319, 1500, -5204, 1921, 2164, 2430, -8292,
  3037, 3381, 3754, -12631, 4592, 5061, 5563, -18492, 6678, 7292, 7947, -26142, 9382, 10164, 10991};
static MGDL_FLASH const int64_t pressure_b2_2[1] = {
  0};
static MGDL_FLASH const float pressure_u2_2[1] = {
  3.7252903e-09f};

/* A sum as a value: s / 2^shift, rounded and limited. */
static inline int16_t pressure_value(int64_t s, int shift) {
  if (s <= 0) return 0;
  if (shift > 0) s = (s + ((int64_t)1 << (shift - 1))) >> shift;
  return (int16_t)(s < 32767 ? s : 32767);
}

/* A sum in float, by its halves: the conversions of 64 bits that come with compilers for small
   machines take arithmetic in double along. */
static inline float pressure_real(int64_t s) {
  const uint64_t size = s < 0 ? 0 - (uint64_t)s : (uint64_t)s;
  const float value = (float)(uint32_t)(size >> 32) * 4294967296.0f + (float)(uint32_t)size;
  return s < 0 ? -value : value;
}

/* Adds the outputs of the first k grades up, standardised. */
static inline void pressure_sum(const float* x, int k, float* sum) {
  int16_t z[1];
  int16_t h0[32];
  int16_t h1[32];
  int i, j;
  for (j = 0; j < 1; ++j) {
    float v = (x[j] - pressure_input_mean[j]) * pressure_input_factor[j];
    v = v < 32767.0f ? v : 32767.0f;
    v = v > -32767.0f ? v : -32767.0f;
    z[j] = (int16_t)(v < 0.0f ? -(int)(0.5f - v) : (int)(v + 0.5f));
  }
  /* grade 1, layer 1 */
  for (j = 0; j < 8; ++j) {
    MGDL_FLASH const int16_t* w = pressure_w1_1 + j * 1;
    int64_t s = pressure_b1_1[j];
    for (i = 0; i < 1; ++i) s += (int32_t)w[i] * z[i];
    h0[j] = pressure_value(s, pressure_s1_1[j]);
  }
  /* grade 1, layer 2 */
  for (j = 0; j < 1; ++j) {
    MGDL_FLASH const int16_t* w = pressure_w1_2 + j * 8;
    int64_t s = pressure_b1_2[j];
    for (i = 0; i < 8; ++i) s += (int32_t)w[i] * h0[i];
    sum[j] += pressure_real(s) * pressure_u1_2[j];
  }
  if (k <= 1) return;
  /* grade 2, layer 1 */
  for (j = 0; j < 32; ++j) {
    MGDL_FLASH const int16_t* w = pressure_w2_1 + j * 8;
    int64_t s = pressure_b2_1[j];
    for (i = 0; i < 8; ++i) s += (int32_t)w[i] * h0[i];
    h1[j] = pressure_value(s, pressure_s2_1[j]);
  }
  /* grade 2, layer 2 */
  for (j = 0; j < 1; ++j) {
    MGDL_FLASH const int16_t* w = pressure_w2_2 + j * 32;
    int64_t s = pressure_b2_2[j];
    for (i = 0; i < 32; ++i) s += (int32_t)w[i] * h1[i];
    sum[j] += pressure_real(s) * pressure_u2_2[j];
  }
  (void)k, (void)sum, (void)i, (void)z, (void)h0, (void)h1;
}

/* The first k grades, 0 <= k <= 2, at x. */
static inline void pressure_predict_grades(const float x[1], int k, float y[1]) {
  float sum[1] = {0.0f};
  int j;
  if (k > 0) pressure_sum(x, k, sum);
  for (j = 0; j < 1; ++j) y[j] = sum[j] * pressure_output_scale[j] + pressure_output_mean[j];
}

/* The model at x. */
static inline void pressure_predict(const float x[1], float y[1]) {
  pressure_predict_grades(x, 2, y);
}

/* Compares with outputs of the model that are stored here: 0 if all agree, else the number
   of the first that does not. */
static inline int pressure_self_test(void) {
  static const float x[16 * 1] = {
  86.83723f, 56.49692f, 63.363132f, 48.163494f, 29.51931f, 66.87653f, 70.96064f, 18.041344f,
  29.553638f, 62.03187f, 20.200548f, 12.218935f, 45.880417f, 61.484844f, 48.547527f, 54.351223f};
  static const float expected[16 * 1] = {
  63.30214f, 16.984251f, 23.424915f, 11.301628f, 4.1355367f, 27.454432f, 32.848385f, 2.07106f,
  4.1437707f, 22.02395f, 2.3722236f, 1.4224613f, 10.058945f, 21.49328f, 11.523066f, 15.344487f};
  const float tolerance = 0.015395596f;
  int t, j;
  for (t = 0; t < 16; ++t) {
    float y[1];
    pressure_predict(x + t * 1, y);
    for (j = 0; j < 1; ++j) {
      const float difference = y[j] - expected[t * 1 + j];
      if (!(difference <= tolerance && -difference <= tolerance)) return t + 1;
    }
  }
  return 0;
}

#endif
