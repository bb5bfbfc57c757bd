"""`flambeau.utils.tensorboard`: files that TensorBoard shows, written without it.

`writer` holds `SummaryWriter`, `summary` what one entry says, `records` the bytes on disk. What does not live here:
TensorBoard itself, which reads the files (`tensorboard --logdir runs`).
"""

from flambeau.utils.tensorboard.writer import FileWriter, SummaryWriter

__all__ = ["FileWriter", "SummaryWriter"]
