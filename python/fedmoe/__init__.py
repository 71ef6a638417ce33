"""Open what a federation has trained, in NumPy or PyTorch.

    import fedmoe
    model = fedmoe.load("model.safetensors")
    model.predict([{"age": 63, "sex": "1", ...}])
    model.predict_csv("new.csv")

Predictions are those of `fedmoe-model predict`, to 1e-5. PyTorch: fedmoe.torch.load.
"""
from .model import Model, load
from .schema import RecordError, Schema

__all__ = ["Model", "RecordError", "Schema", "load"]
__version__ = "0.1.0"
