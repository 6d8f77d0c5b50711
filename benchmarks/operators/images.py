"""Images resampled: pyramids, segmentation heads, flow fields and regions of interest."""

from __future__ import annotations

from benchmarks.operators.case import case

_TWICE = [1.0, 1.0, 2.0, 2.0]

IMAGES = (
    case("Resize", "1x256x20x20", None, _TWICE, mode="nearest", coordinate_transformation_mode="asymmetric"),
    case("Resize", "1x128x40x40", None, _TWICE, mode="nearest"),
    case("Resize", "1x64x64x64", None, _TWICE, mode="linear"),
    case("Resize", "1x21x64x64", None, None, [1, 21, 512, 512], mode="linear"),
    case("Resize", "1x256x32x32", None, _TWICE, mode="linear", coordinate_transformation_mode="align_corners"),
    case("Resize", "1x3x640x480", None, None, [1, 3, 224, 224], mode="linear", antialias=1),
    case("Resize", "1x3x224x224", None, _TWICE, mode="cubic"),
    case("Resize", "1x64x56x56", None, [1.0, 1.0, 0.5, 0.5], mode="linear"),
    case("Resize", "1x56x56x64", None, [1.0, 2.0, 2.0, 1.0], mode="linear"),
    case("Resize", "uint8 1x3x224x224", None, _TWICE, mode="nearest"),
    case("Resize", "uint8 1x3x224x224", None, _TWICE, mode="linear"),
    case("Resize", "float16 1x64x64x64", None, _TWICE, mode="nearest"),
    case("Resize", "1x16x8x28x28", None, [1.0, 1.0, 2.0, 2.0, 2.0], mode="nearest"),
    case("Resize", "1x16x8x28x28", None, [1.0, 1.0, 2.0, 2.0, 2.0], mode="linear"),
    case("Resize", "1x80x1000", None, [1.0, 1.0, 2.0], mode="linear"),
    case("GridSample", "1x64x56x56", "1x56x56x2 <1"),
    case("GridSample", "1x64x56x56", "1x56x56x2", mode="nearest", padding_mode="border"),
    case("GridSample", "1x3x224x224", "1x224x224x2", padding_mode="border", align_corners=1),
    case("GridSample", "1x16x56x56", "1x56x56x2", mode="cubic", padding_mode="reflection"),
    case("GridSample", "8x32x32x32", "8x100x4x2 <1"),
    case("GridSample", "1x8x8x28x28", "1x8x28x28x3"),
    case("AffineGrid", "1x2x3", [1, 3, 224, 224]),
    case("RoiAlign", "1x256x50x50", "300x4 <50", "int64 300 <1", output_height=7, output_width=7, sampling_ratio=2),
)
