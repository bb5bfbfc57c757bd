"""Programs as people write them for PyTorch, run with flambeau in torch's place.

Each is a function of the framework's module. It checks its own results (the loss falls, the invariants hold); where
torch is installed it also runs with torch from the same weights and data, and what it returns must agree.
"""
