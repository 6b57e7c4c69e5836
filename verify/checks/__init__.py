"""The catalogue: every check, in the report's order."""

from __future__ import annotations

from .compute import llm, spark
from .databases import postgres, redis
from .frameworks import frameworks
from .graphics import opengl, vulkan
from .platform import platform
from .remote import ssh, vnc
from .services import mongodb, mosquitto, ollama, qdrant
from .tensorflow import tensorflow, tensorflow_metal
from .torch import cuda, mps, nvidia_smi, torch, torch_index
from .web import code_server, jupyter, novnc

CHECKS = (
    platform,
    opengl,
    vulkan,
    torch,
    torch_index,
    mps,
    nvidia_smi,
    cuda,
    tensorflow,
    tensorflow_metal,
    frameworks,
    jupyter,
    code_server,
    novnc,
    vnc,
    ssh,
    postgres,
    redis,
    mosquitto,
    mongodb,
    qdrant,
    ollama,
    spark,
    llm,
)
