"""A model with two prunable groups of channels, `w1` (16) and `w2` (24), and a head that stays."""

MODEL = """
main (float[N,3,8,8] x, float[16,3,3,3] w1, float[16] w_scale, float[16] w_shift, float[16] w_mean, float[16] w_var,
      float[24,16,3,3] w2, float[24] w_b2, float[1536,10] w3) => (float[N,10] y) {
  [conv1] a = Conv <pads = [1,1,1,1]> (x, w1)
  b = BatchNormalization (a, w_scale, w_shift, w_mean, w_var)
  c = Relu (b)
  [conv2] d = Conv <pads = [1,1,1,1]> (c, w2, w_b2)
  e = Relu (d)
  f = Flatten (e)
  [head] y = MatMul (f, w3)
}
"""
