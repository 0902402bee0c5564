"""A convolutional network for small images."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from pydantic import PositiveInt
from torch import Tensor, nn

from hydrantic import AUTO, Auto, Hparam, Hparams, InvalidField, LayerSlot, named, register_model


class CNNHparams(Hparams):
    """Hyperparameters of a convolutional network."""

    input_shape: Auto[tuple[int, ...]] = AUTO
    """Channels, height and width of one image."""
    out_features: Auto[int] = AUTO
    """Number of values to put out."""
    channels: tuple[PositiveInt, ...] = Hparam((32, 64), min_length=1)
    """Number of channels after each block of convolution, normalization, activation and pooling."""
    kernel_size: PositiveInt = 3
    """Height and width of the convolutions' kernels, in pixels; odd."""
    activation: LayerSlot = named("relu")
    """Function after each convolution."""
    pooling: PositiveInt = 2
    """Factor by which each block shrinks height and width, by the maximum; 1 keeps them."""
    dropout: float = Hparam(default=0.0, ge=0, lt=1)
    """Probability with which each value before the last layer is set to 0 in training."""


@register_model("cnn")
class CNN(nn.Module):
    """Blocks of convolution, batch normalization, activation and pooling, and one linear layer.

    Blocks in the manner of K. Simonyan and A. Zisserman, Very Deep Convolutional Networks, 2014, section 2.1, with
    batch normalization.

    Arguments:
        hparams: sizes, activation and regularisation.

    Raises:
        InvalidField: the inputs are no images, or too small for the blocks.
    """

    def __init__(self, hparams: CNNHparams) -> None:
        super().__init__()
        channels, height, width = _image(hparams)
        dims = (channels, *hparams.channels)
        blocks = [layer for pair in pairwise(dims) for layer in _block(*pair, hparams)]
        shrink = hparams.pooling ** len(hparams.channels)
        pixels = (height // shrink) * (width // shrink)
        self.layers = nn.Sequential(
            *blocks, nn.Flatten(), nn.Dropout(hparams.dropout), nn.Linear(dims[-1] * pixels, hparams.out_features)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map images `(batch, channels, height, width)` to outputs `(batch, out_features)`."""
        outputs: Tensor = self.layers(images)
        return outputs


def _image(hparams: CNNHparams) -> tuple[int, int, int]:
    shape = hparams.input_shape
    if len(shape) != 3:
        raise InvalidField("input_shape", f"cnn needs images (channels, height, width), but an input has {shape}")
    if hparams.kernel_size % 2 == 0:
        raise InvalidField("kernel_size", f"must be odd, so that images keep their size; it is {hparams.kernel_size}")
    smallest = hparams.pooling ** len(hparams.channels)
    if min(shape[1:]) < smallest:
        raise InvalidField(
            "pooling",
            f"{len(hparams.channels)} blocks with pooling {hparams.pooling} need images of at least {smallest} pixels, "
            f"but these are {shape[1]} x {shape[2]}",
        )
    return shape[0], shape[1], shape[2]


def _block(inputs: int, outputs: int, hparams: CNNHparams) -> Iterator[nn.Module]:
    # The normalization has a constant of its own.
    yield nn.Conv2d(inputs, outputs, hparams.kernel_size, padding=hparams.kernel_size // 2, bias=False)
    yield nn.BatchNorm2d(outputs)
    yield hparams.activation.build()
    if hparams.pooling > 1:
        yield nn.MaxPool2d(hparams.pooling)
