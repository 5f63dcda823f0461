// Dense host arrays in row-major order: the currency between files, preprocessing, augmentation and inference.
// The engine's own tensors, with device storage and layouts, are `Tensor`.

/// A dense array in C order on the host.
package struct NDArray<Element: Sendable>: Sendable {
  /// Extents, slowest axis first.
  package var shape: [Int]
  /// The elements in C order; `elements.count == shape.product`.
  package var elements: [Element]

  package init(shape: [Int], elements: [Element]) {
    precondition(elements.count == shape.reduce(1, *), "\(elements.count) elements do not fill \(shape)")
    self.shape = shape
    self.elements = elements
  }

  package init(shape: [Int], repeating value: Element) {
    self.shape = shape
    self.elements = Array(repeating: value, count: shape.reduce(1, *))
  }

  package var count: Int { elements.count }

  /// The distance in elements between neighbours along each axis.
  package var strides: [Int] { rowMajorStrides(of: shape) }

  /// The element at a full index; convenient, not for hot loops.
  package subscript(_ index: Int...) -> Element {
    get { elements[offset(of: index)] }
    set { elements[offset(of: index)] = newValue }
  }

  /// The position in `elements` of a full index.
  package func offset(of index: [Int]) -> Int {
    precondition(index.count == shape.count, "index \(index) into shape \(shape)")
    var offset = 0
    for (i, extent) in zip(index, shape) {
      precondition(i >= 0 && i < extent, "index \(index) outside shape \(shape)")
      offset = offset * extent + i
    }
    return offset
  }

  /// The same elements under another shape.
  package func reshaped(_ shape: [Int]) -> NDArray { NDArray(shape: shape, elements: elements) }

  package func map<T: Sendable>(_ transform: (Element) throws -> T) rethrows -> NDArray<T> {
    NDArray<T>(shape: shape, elements: try elements.map(transform))
  }
}

extension NDArray: Equatable where Element: Equatable {}

/// The distance in elements between neighbours along each axis of a C-ordered array.
package func rowMajorStrides(of shape: [Int]) -> [Int] {
  var strides = Array(repeating: 1, count: shape.count)
  for axis in stride(from: shape.count - 2, through: 0, by: -1) {
    strides[axis] = strides[axis + 1] * shape[axis + 1]
  }
  return strides
}

extension NDArray {
  /// The array with its axes permuted: axis `i` of the result is axis `axes[i]` of this one.
  package func transposed(_ axes: [Int]) -> NDArray {
    precondition(axes.sorted() == Array(shape.indices), "\(axes) is no permutation of the axes of \(shape)")
    if axes == Array(shape.indices) { return self }
    let source = strides
    let newShape = axes.map { shape[$0] }
    let steps = axes.map { source[$0] }
    var result: [Element] = []
    result.reserveCapacity(count)
    var index = Array(repeating: 0, count: newShape.count)
    guard let last = newShape.last, let lastStep = steps.last, count > 0 else { return reshaped(newShape) }
    elements.withUnsafeBufferPointer { elements in
      var rowStart = 0
      while true {
        for i in 0..<last { result.append(elements[rowStart + i * lastStep]) }
        var axis = newShape.count - 2
        while axis >= 0 {
          index[axis] += 1
          rowStart += steps[axis]
          if index[axis] < newShape[axis] { break }
          rowStart -= steps[axis] * newShape[axis]
          index[axis] = 0
          axis -= 1
        }
        if axis < 0 { break }
      }
    }
    return NDArray(shape: newShape, elements: result)
  }
}
