// The arithmetic of the counting backend: shapes without numbers.

import Backends
import Tensors

extension CountingBackend {
  private func plain(_ shape: [Int]) -> Tensor { Tensor(uninitialized: shape, pool: pool) }

  func map(_ x: Tensor, _ function: ElementFunction) -> Tensor { plain(x.shape) }

  func mapGradient(_ gradient: Tensor, x: Tensor, result: Tensor, _ function: ElementFunction) -> Tensor {
    plain(x.shape)
  }

  func combine(_ a: Tensor, _ b: Tensor, _ function: PairFunction) -> Tensor {
    plain(broadcastShape(a.shape, b.shape) ?? a.shape)
  }

  func reduce(_ x: Tensor, axes: [Int], _ reduction: Reduction) -> Tensor {
    plain(x.shape.enumerated().map { axes.contains($0) ? 1 : $1 })
  }

  func gather(_ x: Tensor, _ view: StridedView) -> Tensor { plain(view.shape) }

  func place(_ x: Tensor, _ view: StridedView, in shape: [Int]) -> Tensor { plain(shape) }

  func join(_ tensors: [Tensor], axis: Int) -> Tensor {
    var shape = tensors[0].shape
    shape[axis] = tensors.reduce(0) { $0 + $1.shape[axis] }
    return plain(shape)
  }

  func softmax(_ x: Tensor, axis: Int) -> Tensor { plain(x.shape) }

  func product(_ a: Tensor, _ b: Tensor, transposingFirst: Bool, transposingSecond: Bool) -> Tensor {
    let rows = transposingFirst ? a.shape[a.shape.count - 1] : a.shape[a.shape.count - 2]
    let columns = transposingSecond ? b.shape[b.shape.count - 2] : b.shape[b.shape.count - 1]
    return plain((a.shape.count >= b.shape.count ? a.shape : b.shape).dropLast(2) + [rows, columns])
  }

  func select(_ x: Tensor, at index: Tensor, axis: Int) -> Tensor { plain(index.shape) }

  func scatter(_ gradient: Tensor, at index: Tensor, axis: Int, extent: Int) -> Tensor {
    var shape = index.shape
    shape[axis] = extent
    return plain(shape)
  }
}
