"""Matrix products of any type, attention, and what is made of products."""

from __future__ import annotations

from benchmarks.operators.case import case

PRODUCTS = (
    case("MatMul", "1x128x768", "=768x3072"),
    case("MatMul", "1x1x768", "=768x3072"),
    case("MatMul", "12x128x64", "12x64x128"),
    case("MatMul", "1x12x128x128", "1x12x128x64"),
    case("MatMul", "1x8x1x64", "1x8x64x512"),
    case("MatMul", "8x197x64", "8x64x197"),
    case("MatMul", "256x256", "256x256"),
    case("MatMul", "1000", "=1000x512"),
    case("MatMul", "float64 256x256", "=float64 256x256"),
    case("MatMul", "float64 12x128x64", "float64 12x64x128"),
    case("MatMul", "float16 1x128x768", "=float16 768x768"),
    case("MatMul", "float16 12x128x64", "float16 12x64x128"),
    case("MatMul", "int32 128x256", "int32 256x128"),
    case("MatMul", "int64 128x256", "int64 256x128"),
    case("MatMul", "uint32 64x64", "uint32 64x64"),
    case("Gemm", "1x2048", "=1000x2048", "=1000", transB=1),
    case("Gemm", "128x512", "=512x2048", "=2048"),
    case("Gemm", "128x256", "256x128", transB=0),
    case("Einsum", "1x128x12x64", "1x128x12x64", equation="bqhd,bkhd->bhqk"),
    case("Einsum", "1x12x128x128", "1x128x12x64", equation="bhqk,bkhd->bqhd"),
    case("Einsum", "128x256", "256x128", equation="ij,jk->ik"),
    case("Einsum", "1x64x28x28", "=64x32", equation="bchw,cd->bdhw"),
    case("Einsum", "1x49x768", "1x49x768", equation="bnd,bnd->bn"),
    case("Einsum", "32x64", "64", equation="ij,j->i"),
    case("Einsum", "1x64x64x8", "1x64x64x8", equation="bijh,bjkh->bikh"),
    case("Attention", "1x12x128x64", "1x12x128x64", "1x12x128x64"),
    case("Attention", "1x8x1x64", "1x8x512x64", "1x8x512x64"),
    case("RotaryEmbedding", "1x12x128x64", "1x128x32", "1x128x32"),
    case("SwiGLU", "1x128x2048", "1x128x2048"),
    case("Det", "1000x3x3"),
    case("DFT", "1x400x1", outputs=1, onesided=1),
    case("DFT", "1x98x512x1", None, -2, onesided=1),
    case("DFT", "1x64x64x2", None, 1),
)
