"""The guard in other people's training loops: one module per framework, each imported only by name.

::

    from taumem.integrations.accelerate import AccelerateGuard        # diffusers' scripts too
    from taumem.integrations.lightning import LightningGuard          # lightning.pytorch or pytorch_lightning
    from taumem.integrations.transformers import TransformersGuard    # callbacks of the Trainer
    from taumem.integrations.ignite import IgniteGuard                # MONAI's trainers too
    from taumem.integrations.trackers import TensorBoard, WeightsAndBiases, MLflow, Trackio

Each takes a :class:`taumem.Guard` that was made beforehand, so whatever the guard can do, it can do everywhere. Without
an adapter it is called after each optimizer step: ``if guard(model, step): break``.
"""

__all__: list[str] = []
