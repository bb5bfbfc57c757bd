from flambeau.nn.module import Module
from flambeau.nn.parameter import Parameter, Buffer
