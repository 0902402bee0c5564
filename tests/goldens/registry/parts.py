"""Components that the bad blueprints of this folder name."""

from __future__ import annotations

from typing import Literal

from lightning.pytorch import LightningModule
from torch import Tensor, nn

from hydrantic import (
    AUTO,
    Auto,
    Hparam,
    Hparams,
    InvalidField,
    LayerSlot,
    Model,
    ModelHparams,
    register_layer,
    register_model,
)


class StackHparams(Hparams):
    """Layers in a row, and heads beside each other."""

    layers: tuple[LayerSlot, ...]
    """Layers, input side first."""
    heads: dict[str, LayerSlot] = Hparam(default_factory=dict)
    """Heads by name."""


@register_model("stack")
class Stack(nn.Module):
    """Layers in a row, and heads beside each other."""

    def __init__(self, hparams: StackHparams) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(each.build() for each in hparams.layers))

    def forward(self, inputs: Tensor) -> Tensor:
        """One layer after the other."""
        outputs: Tensor = self.layers(inputs)
        return outputs


class ResidualHparams(Hparams):
    """A block that is added to its input."""

    inner: tuple[LayerSlot, ...]
    """Layers of the block."""


@register_layer("residual")
class Residual(nn.Module):
    """A block that is added to its input."""

    def __init__(self, hparams: ResidualHparams) -> None:
        super().__init__()
        self.inner = nn.Sequential(*(each.build() for each in hparams.inner))


class OwnLossHparams(Hparams):
    """Nothing to set."""


@register_model("own_loss")
class OwnLoss(Model[OwnLossHparams]):
    """Computes its own loss."""

    def compute_metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """The mean of the outputs."""
        return {"loss": outputs.mean()}


@register_model("with_groups")
class WithGroups(Model[ModelHparams]):
    """Carries its optimizer with it."""

    def compute_metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """The mean of the outputs."""
        return {"loss": outputs.mean()}


@register_model("self_made")
class SelfMade(LightningModule):
    """A LightningModule with its own training."""


@register_model("picky")
class Picky(nn.Module):
    """Takes even widths only."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        if width % 2:
            raise InvalidField("width", f"must be even, not {width}")


@register_model("moody")
class Moody(nn.Module):
    """Cannot be built."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        raise ValueError("not today")


@register_model("clumsy")
class Clumsy(nn.Module):
    """Has a bug."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.layers = nn.Linear(width, {}["missing"])


@register_model("unfillable")
class Unfillable(nn.Module):
    """Wants what no blueprint can write."""

    def __init__(self, network: object) -> None:
        super().__init__()


@register_model("wants_classes")
class WantsClasses(nn.Module):
    """Is for classes only, and says so by the type of a field."""

    def __init__(self, task: Auto[Literal["multiclass"]] = AUTO) -> None:
        super().__init__()


@register_model("wants_labels")
class WantsLabels(nn.Module):
    """Needs a fact that most data does not state."""

    def __init__(self, num_labels: int) -> None:
        super().__init__()
