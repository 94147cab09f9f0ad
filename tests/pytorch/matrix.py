"""Architectures in PyTorch, each with rows: what tests/pytorch/test_matrix.py exports. Some are trained a few steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torchvision
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F  # noqa: N812

DIGITS, TARGET = load_digits(return_X_y=True)
FLAT = (DIGITS / 16).astype(np.float32)[::6]
PICTURES = FLAT.reshape(-1, 1, 8, 8)
STEPS = FLAT.reshape(-1, 8, 8)
CLASSES = TARGET[::6]
TOKENS = np.random.default_rng(5).integers(1, 20, (60, 9))
TOKENS[::3, 6:] = 0
Made = tuple[nn.Module, Any]


def trained(model: nn.Module, rows: Any, steps: int = 12) -> Made:
    """A classifier of the digits after a few steps; it is left in training mode."""
    x, y = torch.tensor(rows), torch.tensor(CLASSES)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model, rows


def mlp(activation: nn.Module) -> Made:
    layers = [nn.Linear(64, 32), nn.LayerNorm(32), activation, nn.Dropout(0.2), nn.Linear(32, 10)]
    return trained(nn.Sequential(*layers), FLAT)


def cnn(*layers: nn.Module, channels: int = 8) -> Made:
    return trained(
        nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)), PICTURES
    )


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(8) for _ in range(3))
        self.convs = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1, bias=False) for _ in range(2))
        self.head = nn.Linear(8, 10)

    def forward(self, x: Any) -> Any:
        x = F.relu(self.norms[0](self.stem(x)))
        for conv, norm in zip(self.convs, self.norms[1:], strict=True):
            x = F.relu(norm(conv(x)) + x)
        return self.head(x.mean((2, 3)))


class Recurrent(nn.Module):
    def __init__(self, layer: nn.Module, width: int) -> None:
        super().__init__()
        self.layer, self.head = layer, nn.Linear(width, 10)

    def forward(self, steps: Any) -> Any:
        return self.head(self.layer(steps)[0][:, -1])


class Cells(nn.Module):
    """A cell in a loop over a number of steps that the rows do not tell."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.LSTMCell(8, 12), nn.Linear(12, 10)

    def forward(self, steps: Any) -> Any:
        h = c = steps.new_zeros(steps.shape[0], 12)
        for i in range(8):
            h, c = self.cell(steps[:, i], (h, c))
        return self.head(h)


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 16)
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, activation="gelu")
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 3)

    def forward(self, tokens: Any) -> Any:
        states = self.encoder(self.embedding(tokens), src_key_padding_mask=tokens == 0)
        return self.head(states[:, 0])


class Causal(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.qkv, self.out = nn.Embedding(20, 16), nn.Linear(16, 48), nn.Linear(16, 20)

    def forward(self, tokens: Any) -> Any:
        b, n = tokens.shape
        q, k, v = self.qkv(self.embedding(tokens)).reshape(b, n, 3, 4, 4).permute(2, 0, 3, 1, 4)
        x = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(x.transpose(1, 2).reshape(b, n, 16))


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, steps: Any) -> Any:
        states, weights = self.attention(steps, steps, steps)
        return {"states": states, "weights": weights}


class Bag(nn.Module):
    def __init__(self, mode: str) -> None:
        super().__init__()
        self.bag, self.head = nn.EmbeddingBag(20, 8, mode=mode), nn.Linear(8, 3)

    def forward(self, codes: Any) -> Any:
        return self.head(self.bag(codes))


class Several(nn.Module):
    """Rows, codes and a switch in; scores, the best and an embedding out."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Linear(64, 8), nn.Embedding(20, 8), nn.Linear(8, 3)

    def forward(self, pixels: Any, code: Any, on: Any) -> Any:
        x = torch.tanh(self.a(pixels)) + self.b(code)
        scores = self.head(torch.where(on[:, None], x, -x))
        return {"scores": scores.softmax(1), "best": scores.argmax(1), "embedding": F.normalize(x, dim=1)}


class Conv1d(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv1d(8, 12, 3, padding=1), nn.Linear(12, 10)

    def forward(self, steps: Any) -> Any:
        return self.head(F.relu(self.conv(steps.transpose(1, 2))).amax(2))


class Calls(nn.Module):
    def __init__(self, function: Callable[[Any], Any], width: int = 64) -> None:
        super().__init__()
        self.linear, self.function = nn.Linear(width, width), function

    def forward(self, x: Any) -> Any:
        return self.function(self.linear(x))


def branches(x: Any) -> Any:
    return x if x.sum() > 0 else -x


def experts(x: Any) -> Any:
    values, places = x.softmax(1).topk(4, dim=1)
    return torch.einsum("bk,bk->b", x.gather(1, places), values).unsqueeze(1).cumsum(1)


def sized(model: nn.Module, side: int = 64) -> Made:
    """A network of pictures, its batch norm's statistics re-estimated on noise, in evaluation mode."""
    rows = np.random.default_rng(2).normal(size=(6, 3, side, side)).astype(np.float32)
    model.train()
    with torch.no_grad():
        for _ in range(8):
            model(torch.tensor(rows))
    return model.eval(), rows


_PLUS = [nn.Mish(), nn.Hardswish(), nn.ELU(), nn.Softplus(), nn.PReLU(), nn.GELU(approximate="tanh")]

ALL: dict[str, Callable[[], Made]] = {
    "MLP: LayerNorm, GELU, dropout": lambda: mlp(nn.GELU()),
    "convolutions, batch norm": lambda: cnn(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 2), nn.ReLU()
    ),
    "depthwise separable convolutions, SiLU": lambda: cnn(
        nn.Conv2d(1, 8, 1), nn.Conv2d(8, 8, 3, groups=8, padding=1, bias=False), nn.BatchNorm2d(8), nn.SiLU(),
        nn.Conv2d(8, 8, 1),
    ),
    "residual blocks": lambda: trained(Residual(), PICTURES),
    "LSTM, two layers, bidirectional": lambda: trained(
        Recurrent(nn.LSTM(8, 12, 2, batch_first=True, bidirectional=True, dropout=0.1), 24), STEPS
    ),
    "GRU": lambda: trained(Recurrent(nn.GRU(8, 12, batch_first=True), 12), STEPS),
    "transformer encoder with a padding mask": lambda: (Encoder(), TOKENS),
    "causal attention": lambda: (Causal(), TOKENS),
    "multi-head attention with its weights": lambda: (Attention(), STEPS),
    "embedding bag, mean": lambda: (Bag("mean"), TOKENS),
    "several inputs, several outputs": lambda: (
        Several(), {"pixels": FLAT, "code": np.arange(len(FLAT)) % 20, "on": np.arange(len(FLAT)) % 3 == 0},
    ),
    "convolution over time": lambda: trained(Conv1d(), STEPS),
    "gather, top-k, einsum, cumulative sum": lambda: (Calls(experts), FLAT),
    "Fourier transform": lambda: (Calls(lambda x: torch.fft.rfft(x).abs()), FLAT),
    "singular values": lambda: (Calls(lambda x: torch.linalg.svdvals(x.reshape(-1, 8, 8))), FLAT),
    "a branch on the values": lambda: (Calls(branches), FLAT),
    "float16": lambda: (mlp(nn.ReLU())[0].half(), FLAT),
    "torchvision's resnet18": lambda: sized(torchvision.models.resnet18(num_classes=10)),
    "MLP: Mish, Hardswish, ELU, Softplus, PReLU, tanh GELU": lambda: mlp(nn.Sequential(*_PLUS)),
    "pooling: average without padding, power, ceil": lambda: cnn(
        nn.Conv2d(1, 8, 3, padding=1), nn.AvgPool2d(3, 2, 1, count_include_pad=False, ceil_mode=True), nn.LPPool2d(2, 2),
    ),
    "upsampling: bilinear, nearest, bicubic, pixel shuffle": lambda: cnn(
        nn.Upsample(scale_factor=2, mode="bilinear"), nn.Upsample(scale_factor=2), nn.Upsample((12, 12), mode="bicubic"),
        nn.Conv2d(1, 16, 3), nn.PixelShuffle(2), channels=4,
    ),
    "weight norm and spectral norm": lambda: trained(
        nn.Sequential(
            nn.utils.parametrizations.weight_norm(nn.Linear(64, 16)), nn.ReLU(),
            nn.utils.parametrizations.spectral_norm(nn.Linear(16, 10)),
        ),
        FLAT,
    ),
    "instance norm, without statistics": lambda: cnn(nn.Conv2d(1, 8, 3), nn.InstanceNorm2d(8, affine=True), nn.ReLU()),
    "RNN": lambda: trained(Recurrent(nn.RNN(8, 12, batch_first=True), 12), STEPS),
    "LSTM cells in a loop": lambda: trained(Cells(), STEPS),
}  # fmt: skip
