"""Gray pictures of 256 x 256 pixels for benchmark_accuracy, from those that scikit-image comes with.

    make_pictures.py <folder with the pictures of skimage> <output folder>

Needs NumPy and Pillow. Writes one .npy file a picture: 256 x 256, float64, 0 is black and 1 is white.
"""

import pathlib
import sys

import numpy as np
from PIL import Image

PICTURES = ["astronaut", "brick", "camera", "chelsea", "coins", "moon"]
SIZE = 256


def gray_square(path):
    """The largest square in the middle, in gray, averaged or resampled to SIZE x SIZE."""
    picture = Image.open(path).convert("L")
    side = min(picture.size)
    left, top = ((length - side) // 2 for length in picture.size)
    picture = picture.crop((left, top, left + side, top + side))
    return np.asarray(picture.resize((SIZE, SIZE), Image.LANCZOS), dtype=np.float64) / 255


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source, output = map(pathlib.Path, sys.argv[1:])
    output.mkdir(parents=True, exist_ok=True)
    for name in PICTURES:
        np.save(output / f"{name}.npy", gray_square(source / f"{name}.png"))


if __name__ == "__main__":
    main()
