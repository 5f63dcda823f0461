// Resampling as a plan asks for it: from a specification and two spacings to a rule, and the rule applied.

package import Planning
package import Reporting
package import Tensors

extension ResizeRule {
  /// The rule a plan's specification means for two spacings; `nil` if arrays are left as they are.
  ///
  /// Rounding to half precision is what the spline function does with logits; the linear one keeps single precision.
  package init?(
    _ spec: ResamplingSpec, from current: [Double], to new: [Double], rounding: ResultRounding = .float32
  ) throws(Diagnostic) {
    if spec.functionName == ResamplingSpec.identityFunction { return nil }
    let isLinear = spec.functionName == ResamplingSpec.torchFunction
    let axis = coarseAxis(
      current: current, new: new, force: spec.forceSeparateZ, threshold: spec.separateZAnisotropyThreshold)
    guard let order = isLinear ? .linear : InterpolationOrder(rawValue: spec.order) else {
      throw unsupported("order 0, 1 or 3", "order \(spec.order)")
    }
    if axis != nil, !isLinear, spec.orderZ != 0 {
      throw unsupported("order_z 0", "order_z \(spec.orderZ)")
    }
    self.init(
      order: order, separateAxis: axis, sliceChoice: isLinear ? .nearestExact : .roundedHalfUp,
      rounding: isLinear ? .float32 : rounding)
  }
}

/// Resamples every channel as a plan says.
///
/// - Parameters:
///   - array: `[C, Z, Y, X]`
///   - newShape: extents of the result.
///   - currentSpacing: millimetres between voxels now, in array order.
///   - newSpacing: millimetres between voxels then.
///   - spec: the plan's specification.
///   - rounding: the precision of the result; logits of the spline function have half precision.
/// - Throws: a ``Diagnostic`` for spline orders that are not supported.
package func resample(
  _ array: NDArray<Float>, to newShape: [Int], from currentSpacing: [Double], to newSpacing: [Double],
  using spec: ResamplingSpec, rounding: ResultRounding = .float32
) throws(Diagnostic) -> NDArray<Float> {
  guard let rule = try ResizeRule(spec, from: currentSpacing, to: newSpacing, rounding: rounding) else {
    return array
  }
  return resizeImage(array, to: newShape, rule: rule)
}

/// Resamples a label map as a plan says.
///
/// - Parameters:
///   - labels: `[Z, Y, X]`
///   - newShape: extents of the result.
///   - currentSpacing: millimetres between voxels now, in array order.
///   - newSpacing: millimetres between voxels then.
///   - spec: the plan's specification.
/// - Throws: a ``Diagnostic`` for spline orders that are not supported.
package func resampleLabels(
  _ labels: NDArray<Int16>, to newShape: [Int], from currentSpacing: [Double], to newSpacing: [Double],
  using spec: ResamplingSpec
) throws(Diagnostic) -> NDArray<Int16> {
  guard let rule = try ResizeRule(spec, from: currentSpacing, to: newSpacing) else { return labels }
  if rule.order == .nearest { return pickLabels(labels, to: newShape) }
  guard rule.order == .linear else {
    throw unsupported("order 0 or 1 for segmentations", "order \(spec.order)")
  }
  return resizeLabelMap(
    labels, to: newShape, separateAxis: rule.separateAxis, sliceChoice: rule.sliceChoice,
    ties: spec.functionName == ResamplingSpec.torchFunction ? .halfPrecision : .nearestThenSmallest)
}

private func unsupported(_ expected: String, _ found: String) -> Diagnostic {
  Diagnostic(
    "the plans ask for a resampling that is not supported", expected: expected, found: found,
    remedy: "change the resampling arguments in the plans")
}
