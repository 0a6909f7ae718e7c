"""What torch has no fused operation for on a CPU, compiled by numba: parts of the training update and their gradients.

Kernels take numpy arrays in fp32; `functions` and `attention` make them functions of tensors with a gradient.
"""
