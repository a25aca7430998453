
; Products of bf16, two columns of a row in each element of 32 bits. TVM has no word for bfloat in an intrinsic; LLVM inlines these into the phases.

define <16 x float> @inferflux_dot_pairs(<16 x float> %sum, <16 x i32> %weights, <16 x i32> %values) alwaysinline {
  %w = bitcast <16 x i32> %weights to <32 x bfloat>
  %x = bitcast <16 x i32> %values to <32 x bfloat>
  %more = call <16 x float> @llvm.x86.avx512bf16.dpbf16ps.512(<16 x float> %sum, <32 x bfloat> %w, <32 x bfloat> %x)
  ret <16 x float> %more
}

declare <16 x float> @llvm.x86.avx512bf16.dpbf16ps.512(<16 x float>, <32 x bfloat>, <32 x bfloat>)

; 16 floats as 16 neighbouring bf16, rounded to even.
define <8 x i32> @inferflux_bf16_row(<16 x float> %x) alwaysinline {
  %narrow = fptrunc <16 x float> %x to <16 x bfloat>
  %pairs = bitcast <16 x bfloat> %narrow to <8 x i32>
  ret <8 x i32> %pairs
}

; Two columns of 16 rows as pairs: the first column in the low half of each element.
define <16 x i32> @inferflux_bf16_pairs(<16 x float> %low, <16 x float> %high) alwaysinline {
  %narrow_low = fptrunc <16 x float> %low to <16 x bfloat>
  %narrow_high = fptrunc <16 x float> %high to <16 x bfloat>
  %bits_low = bitcast <16 x bfloat> %narrow_low to <16 x i16>
  %bits_high = bitcast <16 x bfloat> %narrow_high to <16 x i16>
  %low_half = zext <16 x i16> %bits_low to <16 x i32>
  %wide_high = zext <16 x i16> %bits_high to <16 x i32>
  %high_half = shl <16 x i32> %wide_high, splat (i32 16)
  %pairs = or <16 x i32> %low_half, %high_half
  ret <16 x i32> %pairs
}
