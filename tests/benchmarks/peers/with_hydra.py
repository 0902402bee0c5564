"""An application of Hydra as its template projects write it: torch and lightning imported at the top."""

from __future__ import annotations

import hydra
import lightning.pytorch as pl
from omegaconf import DictConfig


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config: DictConfig) -> None:
    """Train."""
    model, data = hydra.utils.instantiate(config.model), hydra.utils.instantiate(config.data)
    pl.Trainer(**config.trainer).fit(model, data)


main()
