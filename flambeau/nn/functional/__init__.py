"""`flambeau.nn.functional`: layers and losses as functions, each file one family.

What does not live here: the operations' mathematics (`flambeau/ops`) and modules with parameters (`flambeau/nn`).
Modules look these names up when they are called, so a program may replace them.
"""

from flambeau.nn.functional.activation import *
from flambeau.nn.functional.attention import *
from flambeau.nn.functional.batch_norm import *
from flambeau.nn.functional.classification import *
from flambeau.nn.functional.convolution import *
from flambeau.nn.functional.ctc import *
from flambeau.nn.functional.distance import *
from flambeau.nn.functional.dropout import *
from flambeau.nn.functional.embedding import *
from flambeau.nn.functional.embedding_bag import *
from flambeau.nn.functional.fractional_pooling import *
from flambeau.nn.functional.grid import *
from flambeau.nn.functional.linear import *
from flambeau.nn.functional.linear_cross_entropy import *
from flambeau.nn.functional.loss import *
from flambeau.nn.functional.metric import *
from flambeau.nn.functional.normalise import *
from flambeau.nn.functional.pooling import *
