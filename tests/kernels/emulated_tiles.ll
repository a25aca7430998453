
; Tile registers in memory, for machines without AMX: what the instructions do, by their description, one element after the other.

@emulated_config = internal global [64 x i8] zeroinitializer
@emulated_tiles = internal global [8 x [1024 x i8]] zeroinitializer

define internal i32 @emulated_rows(i32 %tile) alwaysinline {
  %index = add i32 %tile, 48
  %at = getelementptr i8, ptr @emulated_config, i32 %index
  %rows = load i8, ptr %at
  %wide = zext i8 %rows to i32
  ret i32 %wide
}

define internal i32 @emulated_row_bytes(i32 %tile) alwaysinline {
  %twice = mul i32 %tile, 2
  %index = add i32 %twice, 16
  %at = getelementptr i8, ptr @emulated_config, i32 %index
  %bytes = load i8, ptr %at
  %wide = zext i8 %bytes to i32
  ret i32 %wide
}

define internal ptr @emulated_at(i32 %tile, i32 %row, i32 %byte) alwaysinline {
  %tile_at = mul i32 %tile, 1024
  %row_at = mul i32 %row, 64
  %before = add i32 %tile_at, %row_at
  %offset = add i32 %before, %byte
  %at = getelementptr i8, ptr @emulated_tiles, i32 %offset
  ret ptr %at
}

define void @emulated_configure(ptr %config) {
  call void @llvm.memcpy.p0.p0.i64(ptr @emulated_config, ptr %config, i64 64, i1 false)
  ret void
}

define void @emulated_release() {
  call void @llvm.memset.p0.i64(ptr @emulated_config, i8 0, i64 64, i1 false)
  ret void
}

define void @emulated_zero(i32 %tile) {
  %at = call ptr @emulated_at(i32 %tile, i32 0, i32 0)
  call void @llvm.memset.p0.i64(ptr %at, i8 0, i64 1024, i1 false)
  ret void
}

define internal void @emulated_move(i32 %tile, ptr %memory, i64 %stride, i1 %is_store) {
entry:
  %rows = call i32 @emulated_rows(i32 %tile)
  %bytes = call i32 @emulated_row_bytes(i32 %tile)
  %count = zext i32 %bytes to i64
  br label %next
next:
  %row = phi i32 [ 0, %entry ], [ %after, %moved ]
  %more = icmp ult i32 %row, %rows
  br i1 %more, label %move, label %end
move:
  %register = call ptr @emulated_at(i32 %tile, i32 %row, i32 0)
  %wide = zext i32 %row to i64
  %offset = mul i64 %wide, %stride
  %place = getelementptr i8, ptr %memory, i64 %offset
  %to = select i1 %is_store, ptr %place, ptr %register
  %from = select i1 %is_store, ptr %register, ptr %place
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %from, i64 %count, i1 false)
  br label %moved
moved:
  %after = add i32 %row, 1
  br label %next
end:
  ret void
}

define void @emulated_load(i32 %tile, ptr %memory, i64 %stride) {
  call void @emulated_zero(i32 %tile)
  call void @emulated_move(i32 %tile, ptr %memory, i64 %stride, i1 false)
  ret void
}

define void @emulated_store(i32 %tile, ptr %memory, i64 %stride) {
  call void @emulated_move(i32 %tile, ptr %memory, i64 %stride, i1 true)
  ret void
}

; total[m][n] += a[m][k] * b[k / 2][2 n + k % 2], of bf16
define void @emulated_dot_bf16(i32 %total, i32 %a, i32 %b) {
entry:
  %rows = call i32 @emulated_rows(i32 %total)
  %total_bytes = call i32 @emulated_row_bytes(i32 %total)
  %columns = udiv i32 %total_bytes, 4
  %a_bytes = call i32 @emulated_row_bytes(i32 %a)
  %depth = udiv i32 %a_bytes, 2
  %area = mul i32 %rows, %columns
  %all = mul i32 %area, %depth
  br label %next
next:
  %step = phi i32 [ 0, %entry ], [ %after, %one ]
  %more = icmp ult i32 %step, %all
  br i1 %more, label %one, label %end
one:
  %k = urem i32 %step, %depth
  %element = udiv i32 %step, %depth
  %n = urem i32 %element, %columns
  %m = udiv i32 %element, %columns
  %a_byte = mul i32 %k, 2
  %a_at = call ptr @emulated_at(i32 %a, i32 %m, i32 %a_byte)
  %b_row = udiv i32 %k, 2
  %parity = urem i32 %k, 2
  %n_twice = mul i32 %n, 2
  %b_element = add i32 %n_twice, %parity
  %b_byte = mul i32 %b_element, 2
  %b_at = call ptr @emulated_at(i32 %b, i32 %b_row, i32 %b_byte)
  %sum_byte = mul i32 %n, 4
  %sum_at = call ptr @emulated_at(i32 %total, i32 %m, i32 %sum_byte)
  %a_bits = load i16, ptr %a_at
  %b_bits = load i16, ptr %b_at
  %a_wide = zext i16 %a_bits to i32
  %b_wide = zext i16 %b_bits to i32
  %a_high = shl i32 %a_wide, 16
  %b_high = shl i32 %b_wide, 16
  %x = bitcast i32 %a_high to float
  %w = bitcast i32 %b_high to float
  %product = fmul float %x, %w
  %sum = load float, ptr %sum_at
  %new = fadd float %sum, %product
  store float %new, ptr %sum_at
  %after = add i32 %step, 1
  br label %next
end:
  ret void
}

; total[m][n] += a[m][k] * b[k / 4][4 n + k % 4], a signed and b unsigned bytes
define void @emulated_dot_int8(i32 %total, i32 %a, i32 %b) {
entry:
  %rows = call i32 @emulated_rows(i32 %total)
  %total_bytes = call i32 @emulated_row_bytes(i32 %total)
  %columns = udiv i32 %total_bytes, 4
  %depth = call i32 @emulated_row_bytes(i32 %a)
  %area = mul i32 %rows, %columns
  %all = mul i32 %area, %depth
  br label %next
next:
  %step = phi i32 [ 0, %entry ], [ %after, %one ]
  %more = icmp ult i32 %step, %all
  br i1 %more, label %one, label %end
one:
  %k = urem i32 %step, %depth
  %element = udiv i32 %step, %depth
  %n = urem i32 %element, %columns
  %m = udiv i32 %element, %columns
  %a_at = call ptr @emulated_at(i32 %a, i32 %m, i32 %k)
  %b_row = udiv i32 %k, 4
  %of_four = urem i32 %k, 4
  %n_four = mul i32 %n, 4
  %b_byte = add i32 %n_four, %of_four
  %b_at = call ptr @emulated_at(i32 %b, i32 %b_row, i32 %b_byte)
  %sum_at = call ptr @emulated_at(i32 %total, i32 %m, i32 %n_four)
  %a_bits = load i8, ptr %a_at
  %b_bits = load i8, ptr %b_at
  %x = sext i8 %a_bits to i32
  %w = zext i8 %b_bits to i32
  %product = mul i32 %x, %w
  %sum = load i32, ptr %sum_at
  %new = add i32 %sum, %product
  store i32 %new, ptr %sum_at
  %after = add i32 %step, 1
  br label %next
end:
  ret void
}

declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
