"""Draws the images of the shapes example: one shape of 16 kinds per image, in any pose and colour, over clutter.

Every image is a function of its seed and its label alone. Scenes are drawn four times as large as they end up, reduced
by averaging, disturbed by noise, and quantized to six colours, which is also what keeps the committed files small.
"""

import math

import numpy as np
from PIL import Image, ImageDraw

SIDE = 24
SUPERSAMPLING = 4
COLOURS = 6
CLASSES = (
    "disc", "ring", "half disc", "crescent",
    "triangle", "triangle outline", "square", "square outline",
    "pentagon", "hexagon", "five-pointed star", "six-pointed star",
    "plus", "letter L", "letter T", "arrow",
)


def regular_polygon(corners, radius=1.0):
    angles = [2 * math.pi * i / corners for i in range(corners)]
    return [(radius * math.cos(a), radius * math.sin(a)) for a in angles]


def star(points, inner):
    radii = [1.0 if i % 2 == 0 else inner for i in range(2 * points)]
    angles = [math.pi * i / points for i in range(2 * points)]
    return [(r * math.cos(a), r * math.sin(a)) for r, a in zip(radii, angles)]


PLUS = [(-.32, -1), (.32, -1), (.32, -.32), (1, -.32), (1, .32), (.32, .32), (.32, 1), (-.32, 1), (-.32, .32), (-1, .32), (-1, -.32), (-.32, -.32)]
LETTER_L = [(-.7, -1), (-.1, -1), (-.1, .4), (.8, .4), (.8, 1), (-.7, 1)]
LETTER_T = [(-.9, -.9), (.9, -.9), (.9, -.3), (.3, -.3), (.3, .9), (-.3, .9), (-.3, -.3), (-.9, -.3)]
ARROW = [(-1, -.28), (.1, -.28), (.1, -.8), (1, 0), (.1, .8), (.1, .28), (-1, .28)]
HALF_DISC = [(math.cos(a), math.sin(a)) for a in np.linspace(0, math.pi, 24)]


def crescent():
    outer = [(math.cos(a), math.sin(a)) for a in np.linspace(.6, 2 * math.pi - .6, 32)]
    inner = [(.45 + .72 * math.cos(a), .72 * math.sin(a)) for a in np.linspace(2 * math.pi - .9, .9, 24)]
    return outer + inner


# Per class: the outline, and the share of the radius that is cut out of the middle.
OUTLINES = (
    (regular_polygon(40), 0), (regular_polygon(40), .6), (HALF_DISC, 0), (crescent(), 0),
    (regular_polygon(3, 1.15), 0), (regular_polygon(3, 1.25), .55), (regular_polygon(4, 1.15), 0), (regular_polygon(4, 1.2), .6),
    (regular_polygon(5, 1.05), 0), (regular_polygon(6, 1.05), 0), (star(5, .42), 0), (star(6, .52), 0),
    (PLUS, 0), (LETTER_L, 0), (LETTER_T, 0), (ARROW, 0),
)


def pose(rng):
    """A random similarity with a little shear and stretch: a 2x2 matrix and an offset in supersampled pixels."""
    angle = rng.uniform(0, 2 * math.pi)
    size = rng.uniform(5.8, 9.6) * SUPERSAMPLING
    stretch = rng.uniform(.85, 1.18)
    shear = rng.uniform(-.15, .15)
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    matrix = size * rotation @ np.array([[stretch, shear], [0, 1 / stretch]])
    centre = (SIDE / 2 + rng.uniform(-2.6, 2.6, 2)) * SUPERSAMPLING
    return matrix, centre


def shape_mask(label, rng):
    """Coverage of the shape, 0 to 1, supersampled."""
    outline, hole = OUTLINES[label]
    matrix, centre = pose(rng)
    points = np.array(outline) @ matrix.T
    points = points + rng.normal(0, .25 * SUPERSAMPLING, points.shape) * (len(outline) < 16)
    side = SIDE * SUPERSAMPLING
    mask = Image.new("L", (side, side), 0)
    draw = ImageDraw.Draw(mask)
    draw.polygon([tuple(p) for p in points + centre], fill=255)
    if hole:
        draw.polygon([tuple(p) for p in points * hole + centre], fill=0)
    return np.asarray(mask, dtype=np.float64)[..., None] / 255


def background(rng, colour):
    """A gradient over a coarse texture around one colour."""
    side = SIDE * SUPERSAMPLING
    y, x = np.mgrid[0:side, 0:side] / side - .5
    slope = rng.normal(0, 45, (2, 3))
    texture = np.asarray(
        Image.fromarray(rng.normal(0, 1, (5, 5)).astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC)
    )
    return colour + x[..., None] * slope[0] + y[..., None] * slope[1] + texture[..., None] * rng.uniform(0, 22)


def clutter(canvas, rng, strokes):
    """Draws strokes and dots of random colours over the canvas."""
    side = SIDE * SUPERSAMPLING
    image = Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(strokes):
        colour = tuple(int(c) for c in rng.integers(0, 256, 3))
        start = rng.uniform(0, side, 2)
        if rng.random() < .6:
            end = start + rng.normal(0, side / 3, 2)
            draw.line([tuple(start), tuple(end)], fill=colour, width=int(rng.integers(2, 6)))
        else:
            radius = rng.uniform(3, 8)
            draw.ellipse([tuple(start - radius), tuple(start + radius)], fill=colour)
    return np.asarray(image, dtype=np.float64)


def draw_image(label, seed):
    """One image: uint8 RGB [SIDE, SIDE, 3] of at most COLOURS colours."""
    rng = np.random.default_rng([seed, label])
    back = rng.uniform(30, 225, 3)
    difference = rng.normal(0, 1, 3)
    fore = back + difference / np.linalg.norm(difference) * rng.uniform(45, 150)
    canvas = clutter(background(rng, back), rng, int(rng.integers(1, 5)))
    mask = shape_mask(label, rng)
    canvas = canvas * (1 - mask) + (fore + rng.normal(0, 4, canvas.shape)) * mask
    canvas = clutter(canvas, rng, int(rng.integers(0, 3)))
    small = canvas.reshape(SIDE, SUPERSAMPLING, SIDE, SUPERSAMPLING, 3).mean((1, 3))
    small = small + rng.normal(0, rng.uniform(1, 8), small.shape)
    image = Image.fromarray(np.clip(np.rint(small), 0, 255).astype(np.uint8))
    return np.asarray(image.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).convert("RGB"))


def draw_set(count, seed):
    """Images [count, SIDE, SIDE, 3] and labels [count], every class equally often, in a seeded order."""
    labels = np.random.default_rng(seed).permutation(np.arange(count) % len(CLASSES))
    return np.stack([draw_image(int(label), seed * 1_000_000 + i) for i, label in enumerate(labels)]), labels
