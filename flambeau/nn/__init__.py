"""Layers, losses and models: `Module` and everything built on it.

`functional` has the same things as functions, `init` starting values, `utils` helpers around parameters. What does not
live here: the mathematics of the operations (`flambeau/ops`) and optimizers (`flambeau/optim`).
"""

from flambeau.nn import functional, init, parallel, utils
from flambeau.nn.activation import *
from flambeau.nn.activation import __all__ as _activation
from flambeau.nn.attention import MultiheadAttention
from flambeau.nn.batch_norm import *
from flambeau.nn.batch_norm import __all__ as _batch_norm
from flambeau.nn.container import ModuleDict, ModuleList, ParameterDict, ParameterList, Sequential
from flambeau.nn.convolution import *
from flambeau.nn.convolution import __all__ as _convolution
from flambeau.nn.distance import CosineSimilarity, PairwiseDistance
from flambeau.nn.dropout import AlphaDropout, Dropout, Dropout1d, Dropout2d, Dropout3d, FeatureAlphaDropout
from flambeau.nn.embedding import Embedding
from flambeau.nn.embedding_bag import EmbeddingBag
from flambeau.nn.functional.linear_cross_entropy import LinearCrossEntropyOptions
from flambeau.nn.lazy import *
from flambeau.nn.lazy import __all__ as _lazy
from flambeau.nn.linear import Bilinear, Identity, Linear
from flambeau.nn.loss import *
from flambeau.nn.loss import __all__ as _loss
from flambeau.nn.module import Module
from flambeau.nn.normalization import GroupNorm, LayerNorm, LocalResponseNorm, RMSNorm
from flambeau.nn.padding import *
from flambeau.nn.padding import __all__ as _padding
from flambeau.nn.parallel import DataParallel
from flambeau.nn.parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter
from flambeau.nn.pooling import *
from flambeau.nn.pooling import __all__ as _pooling
from flambeau.nn.resample import *
from flambeau.nn.resample import __all__ as _resample
from flambeau.nn.rnn import GRU, LSTM, RNN, RNNBase
from flambeau.nn.rnn_cell import GRUCell, LSTMCell, RNNCell, RNNCellBase
from flambeau.nn.shape import Flatten, Unflatten
from flambeau.nn.transformer import (
    Transformer,
    TransformerDecoder,
    TransformerDecoderLayer,
    TransformerEncoder,
    TransformerEncoderLayer,
)

__all__ = [  # noqa: PLE0604
    *_activation,
    *_batch_norm,
    *_convolution,
    *_lazy,
    *_loss,
    *_padding,
    *_pooling,
    *_resample,
    "AlphaDropout",
    "Bilinear",
    "Buffer",
    "CosineSimilarity",
    "DataParallel",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "Embedding",
    "EmbeddingBag",
    "FeatureAlphaDropout",
    "Flatten",
    "GRU",
    "GRUCell",
    "GroupNorm",
    "Identity",
    "LSTM",
    "LSTMCell",
    "LayerNorm",
    "Linear",
    "LinearCrossEntropyOptions",
    "LocalResponseNorm",
    "Module",
    "ModuleDict",
    "ModuleList",
    "MultiheadAttention",
    "PairwiseDistance",
    "Parameter",
    "ParameterDict",
    "ParameterList",
    "RMSNorm",
    "RNN",
    "RNNBase",
    "RNNCell",
    "RNNCellBase",
    "Sequential",
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "Unflatten",
    "UninitializedBuffer",
    "UninitializedParameter",
    "functional",
    "init",
    "utils",
]


def __getattr__(name: str) -> object:
    """`nn.modules`, whose import needs this package to be complete."""
    if name != "modules":
        raise AttributeError(f"module 'flambeau.nn' has no attribute {name!r}")
    from importlib import import_module

    return import_module("flambeau.nn.modules")
