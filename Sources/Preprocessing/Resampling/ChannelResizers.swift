// The two ways of resizing a channel: all axes jointly, or slices one by one with the coarse axis picked after.
// Z Y X array axes (slowest first)

import CKernels
import Foundation
import Synchronization
import Tensors

/// The range that results are clipped to.
struct ClippingRange: Sendable {
  var low: Float
  var high: Float

  static let everything = ClippingRange(low: -.infinity, high: .infinity)

  /// Smallest and largest of some values; everything if all are NaN.
  init(of values: UnsafePointer<Float>, count: Int) {
    (low, high) = (.infinity, -.infinity)
    nnk_range(values, count, &low, &high)
    if low > high { self = .everything }
  }

  init(low: Float, high: Float) {
    self.low = low
    self.high = high
  }

  /// The range of many values, found by all cores.
  static func parallel(of values: UnsafePointer<Float>, count: Int) -> ClippingRange {
    let total = Mutex(ClippingRange(low: .infinity, high: -.infinity))
    // SAFETY: pieces only read, and the values outlive the loop.
    nonisolated(unsafe) let values = values
    forEachPiece(of: count) { range in
      let part = ClippingRange(of: values + range.lowerBound, count: range.count)
      total.withLock { $0 = ClippingRange(low: min($0.low, part.low), high: max($0.high, part.high)) }
    }
    return total.withLock { $0.low > $0.high ? .everything : $0 }
  }
}

/// Resizes the two axes of a slice.
struct SliceResizer: Sendable {
  let shape: [Int]
  let newShape: [Int]
  /// `nil` where the size stays, which every interpolating order leaves as it is.
  private let rows: AxisInterpolation?
  private let columns: AxisInterpolation?

  init(shape: [Int], newShape: [Int], order: InterpolationOrder) {
    self.shape = shape
    self.newShape = newShape
    func axis(_ i: Int) -> AxisInterpolation? {
      shape[i] == newShape[i]
        ? nil : AxisInterpolation(inputCount: shape[i], outputCount: newShape[i], order: order)
    }
    rows = axis(0)
    columns = axis(1)
  }

  /// The floats of memory for the state between the two axes.
  var intermediateCount: Int { rows != nil && columns != nil ? newShape[0] * shape[1] : 0 }

  /// Resizes one contiguous slice; `intermediate` has room for ``intermediateCount`` floats.
  func resize(
    _ input: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>,
    intermediate: UnsafeMutablePointer<Float>, clip: ClippingRange
  ) {
    let width = shape[1]
    let newWidth = newShape[1]
    let first = columns == nil ? output : intermediate
    rows?.withKernel { axis, scratch in
      let range = columns == nil ? clip : .everything
      nnk_resize_lines(input, width, first, width, width, axis, range.low, range.high, scratch)
    }
    columns?.withKernel { axis, scratch in
      let source = rows == nil ? input : UnsafePointer(intermediate)
      nnk_resize_rows(source, width, output, newWidth, newShape[0], axis, clip.low, clip.high, scratch)
    }
    if rows == nil, columns == nil { output.update(from: input, count: width * shape[0]) }
  }
}

/// Resizes all three axes of a channel.
struct JointResizer: Sendable {
  let shape: [Int]
  let newShape: [Int]
  let order: InterpolationOrder

  private var resizesPlanes: Bool { shape[1...] != newShape[1...] }
  private var resizesDepth: Bool { shape[0] != newShape[0] }
  /// Whether the first axis goes first, which is when that leaves less in between.
  private var startsWithDepth: Bool {
    newShape[0] * shape[1] * shape[2] <= shape[0] * newShape[1] * newShape[2]
  }

  /// The floats between the two steps.
  var intermediateCount: Int {
    guard resizesPlanes, resizesDepth else { return 0 }
    return startsWithDepth
      ? newShape[0] * shape[1] * shape[2] : shape[0] * newShape[1] * newShape[2]
  }

  func resize(_ input: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>) {
    let clip = ClippingRange.parallel(of: input, count: shape.reduce(1, *))
    guard resizesPlanes, resizesDepth else {
      if resizesDepth { resizeDepth(input, into: output, planeSize: shape[1] * shape[2], clip: clip) }
      if resizesPlanes { resizePlanes(input, into: output, count: shape[0], clip: clip) }
      return
    }
    let between = UnsafeMutablePointer<Float>.allocate(capacity: intermediateCount)
    defer { between.deallocate() }
    if startsWithDepth {
      resizeDepth(input, into: between, planeSize: shape[1] * shape[2], clip: .everything)
      resizePlanes(between, into: output, count: newShape[0], clip: clip)
    } else {
      resizePlanes(input, into: between, count: shape[0], clip: .everything)
      resizeDepth(between, into: output, planeSize: newShape[1] * newShape[2], clip: clip)
    }
  }

  private func resizeDepth(
    _ input: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, planeSize: Int,
    clip: ClippingRange
  ) {
    let interpolation = AxisInterpolation(inputCount: shape[0], outputCount: newShape[0], order: order)
    // SAFETY: every task reads and writes its own columns of lines; both blocks outlive the loop.
    nonisolated(unsafe) let input = input
    nonisolated(unsafe) let output = output
    // A page of memory per row and task.
    let width = 1024
    parallelFor((planeSize + width - 1) / width) { task in
      let start = task * width
      interpolation.withKernel { axis, scratch in
        nnk_resize_lines(
          input + start, planeSize, output + start, planeSize, min(width, planeSize - start), axis,
          clip.low, clip.high, scratch)
      }
    }
  }

  private func resizePlanes(
    _ input: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, count: Int, clip: ClippingRange
  ) {
    let slices = SliceResizer(
      shape: Array(shape.dropFirst()), newShape: Array(newShape.dropFirst()), order: order)
    let size = shape[1] * shape[2]
    let newSize = newShape[1] * newShape[2]
    // SAFETY: every task reads and writes its own slices; both blocks outlive the loop.
    nonisolated(unsafe) let input = input
    nonisolated(unsafe) let output = output
    let taskCount = min(count, 32)
    parallelFor(taskCount) { task in
      withUnsafeTemporaryAllocation(of: Float.self, capacity: max(slices.intermediateCount, 1)) { memory in
        guard let intermediate = memory.baseAddress else { return }
        for z in count * task / taskCount..<count * (task + 1) / taskCount {
          slices.resize(
            input + z * size, into: output + z * newSize, intermediate: intermediate, clip: clip)
        }
      }
    }
  }
}

/// Resizes the slices along one axis, each clipped to its own range, and picks among them.
struct SeparateResizer: Sendable {
  let shape: [Int]
  let newShape: [Int]
  let axis: Int
  let rule: ResizeRule

  func resize(_ input: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>) {
    let picks = rule.sliceChoice.indices(inputCount: shape[axis], outputCount: newShape[axis])
    // Neighbouring outputs often show the same slice, which is resized once.
    let starts = picks.indices.filter { $0 == 0 || picks[$0] != picks[$0 - 1] }
    let source = SliceLayout(shape: shape, axis: axis)
    let target = SliceLayout(shape: newShape, axis: axis)
    let slices = SliceResizer(shape: source.planeShape, newShape: target.planeShape, order: rule.order)
    // SAFETY: every task reads one slice and writes output slices of its own; both blocks outlive the loop.
    nonisolated(unsafe) let input = input
    nonisolated(unsafe) let output = output
    parallelFor(starts.count) { task in
      let first = starts[task]
      let end = task + 1 < starts.count ? starts[task + 1] : picks.count
      let count = source.planeCount + target.planeCount + max(slices.intermediateCount, 1)
      withUnsafeTemporaryAllocation(of: Float.self, capacity: count) { memory in
        guard let plane = memory.baseAddress else { return }
        let resized = plane + source.planeCount
        let isContiguous = axis == 0
        let from = isContiguous ? input + picks[first] * source.planeCount : UnsafePointer(plane)
        let to = isContiguous ? output + first * target.planeCount : resized
        if !isContiguous { source.read(picks[first], of: input, into: plane) }
        slices.resize(
          from, into: to, intermediate: resized + target.planeCount,
          clip: ClippingRange(of: from, count: source.planeCount))
        for index in (isContiguous ? first + 1 : first)..<end { target.write(to, as: index, of: output) }
      }
    }
  }
}

/// Where the slices along one axis lie in an array.
private struct SliceLayout: Sendable {
  let planeShape: [Int]
  private let planeStrides: [Int]
  private let stride: Int

  var planeCount: Int { planeShape[0] * planeShape[1] }

  init(shape: [Int], axis: Int) {
    let strides = rowMajorStrides(of: shape)
    let others = (0..<3).filter { $0 != axis }
    planeShape = others.map { shape[$0] }
    planeStrides = others.map { strides[$0] }
    stride = strides[axis]
  }

  func read(_ index: Int, of array: UnsafePointer<Float>, into plane: UnsafeMutablePointer<Float>) {
    for row in 0..<planeShape[0] {
      let line = array + (index &* stride &+ row &* planeStrides[0])
      for column in 0..<planeShape[1] {
        plane[row &* planeShape[1] &+ column] = line[column &* planeStrides[1]]
      }
    }
  }

  func write(_ plane: UnsafePointer<Float>, as index: Int, of array: UnsafeMutablePointer<Float>) {
    for row in 0..<planeShape[0] {
      let line = array + (index &* stride &+ row &* planeStrides[0])
      let source = plane + row &* planeShape[1]
      if planeStrides[1] == 1 {
        line.update(from: source, count: planeShape[1])
      } else {
        for column in 0..<planeShape[1] { line[column &* planeStrides[1]] = source[column] }
      }
    }
  }
}
