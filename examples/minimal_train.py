"""Train a depth network with a loop that is read in one sitting.

    python minimal_train.py DIR [--epochs N] [--output FILE]

DIR holds RGB-D pairs in any packaging that `lightdepth data check DIR` recognises. If `check` asks for a unit of depth,
write it into a list and train on that: `lightdepth data list DIR --depth-scale tum -o list.txt`.

`lightdepth train` has the same loop and what makes it safe to leave alone: resuming, mixed precision, several
processes, a teacher.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lightdepth import LightDepth
from lightdepth_runtime import Pair, evaluate, get_protocol, load_pairs

HEIGHT, WIDTH = 96, 128
BATCH_SIZE = 8
LEARNING_RATE = 1e-3
MAX_DEPTH_M = 10.0
# The statistics of the images that ImageNet's encoders were trained on.
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


class Pairs(Dataset):
    """Colour as the network takes it (3, H, W), depth in metres (1, H, W), 0 where there is no reading."""

    def __init__(self, pairs: Sequence[Pair], *, mirror: bool) -> None:
        self.pairs, self.mirror = pairs, mirror

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Read a pair, make it small, and mirror every second one."""
        frame = self.pairs[index].read()  # frame.image uint8 RGB (h, w, 3), frame.depth_m float32 (h, w)
        image = to_input(frame.image)
        # Depth takes the nearest reading: a mean over an edge would be a depth that is nowhere.
        depth_m = F.interpolate(torch.from_numpy(frame.depth_m)[None, None], (HEIGHT, WIDTH), mode="nearest-exact")[0]
        depth_m = torch.where(depth_m < MAX_DEPTH_M, depth_m, 0.0)
        if self.mirror and np.random.rand() < 0.5:  # PyTorch seeds this one in its workers
            image, depth_m = image.flip(-1), depth_m.flip(-1)
        return image, depth_m


def to_input(image: np.ndarray) -> Tensor:
    """Bring uint8 RGB (h, w, 3) to the network's normalised float32 (3, H, W)."""
    planes = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255  # (1, 3, h, w)
    small = F.interpolate(planes, (HEIGHT, WIDTH), mode="bilinear", antialias=True)[0]  # (3, H, W)
    return (small - MEAN[:, None, None]) / STD[:, None, None]


def silog_loss(prediction_m: Tensor, truth_m: Tensor) -> Tensor:
    """Return sqrt(var(d) + 0.15 mean(d)^2) of d = ln(prediction) - ln(truth) over the readings (Eigen et al. 2014)."""
    valid = truth_m > 0
    difference = prediction_m[valid].clamp_min(1e-3).log() - truth_m[valid].log()
    return (difference.var() + 0.15 * difference.mean().square()).sqrt()


def main() -> None:
    """Train, score on the test split, and save the weights."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--output", type=Path, default=Path("minimal.pt"))
    arguments = parser.parse_args()

    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    training, test = load_pairs(arguments.data, "train"), load_pairs(arguments.data, "test")
    loader = DataLoader(
        Pairs(training.pairs, mirror=True), BATCH_SIZE, shuffle=True, drop_last=len(training) > BATCH_SIZE
    )
    model = LightDepth(encoder="resnet18", encoder_weights="none").to(device)  # 14,330,369 parameters
    optimiser = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=0.01)
    steps = arguments.epochs * len(loader)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=max(steps, 2))

    for epoch in range(1, arguments.epochs + 1):
        model.train()
        losses = []
        for image, depth_m in loader:  # (B, 3, H, W), (B, 1, H, W)
            loss = silog_loss(model(image.to(device)), depth_m.to(device))
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        print(f"Epoch {epoch}/{arguments.epochs}: loss {np.mean(losses):.4f}")

    model.eval()

    def predict(image: np.ndarray) -> np.ndarray:
        """Return metres for uint8 RGB (h, w, 3): what `evaluate` scores, at the network's size."""
        with torch.no_grad():
            return model(to_input(image)[None].to(device))[0, 0].cpu().numpy()

    scores = evaluate(predict, test, get_protocol("eigen"), model="minimal").metrics
    print(
        f"{len(test)} test pairs: RMSE {scores.rmse_m:.3f} m, AbsRel {scores.abs_rel:.3f}, delta1 {scores.delta1:.3f}"
    )
    torch.save(model.state_dict(), arguments.output)
    print(f"Wrote {arguments.output}")


if __name__ == "__main__":
    main()
