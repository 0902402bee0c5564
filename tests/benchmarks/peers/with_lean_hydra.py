"""An application of Hydra that imports nothing before it is needed."""

from __future__ import annotations

import hydra
from omegaconf import DictConfig


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config: DictConfig) -> None:
    """Train."""
    import lightning.pytorch as pl

    model, data = hydra.utils.instantiate(config.model), hydra.utils.instantiate(config.data)
    pl.Trainer(**config.trainer).fit(model, data)


main()
