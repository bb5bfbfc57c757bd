"""`flambeau.backends`: the switches and questions that programs set and ask while choosing a device.

Results are always deterministic here, and no library is chosen by a switch: switches keep their value and change
nothing; every question about a library that is not used answers False.
"""

from flambeau.backends import cuda, cudnn, mkl, mkldnn, mps, openmp

__all__ = ["cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp"]
