// The space and the resampling of a prediction as plans and a case's properties say them.

package import Planning
package import Preprocessing
import Reporting
import Tensors

extension PredictionSpace {
  /// The space of a preprocessed case under a configuration of the plans.
  package init(properties: CaseProperties, plans: Plans, configuration: PlannedConfiguration) {
    self.init(
      shapeBeforeCropping: properties.shapeBeforeCropping, boundingBox: properties.boundingBox,
      fileSpacing: properties.spacing, configurationSpacing: configuration.spacing,
      transposeForward: plans.transposeForward, geometry: properties.geometry)
  }
}

extension LogitsResampling {
  /// What the plans' specification for probabilities means for a case.
  ///
  /// nnU-Net's default, linear interpolation by the spline function, goes row by row; everything else by class.
  package init(_ spec: ResamplingSpec, space: PredictionSpace) {
    let separateAxis = coarseAxis(
      current: space.logitsSpacing, new: space.spacing, force: spec.forceSeparateZ,
      threshold: spec.separateZAnisotropyThreshold)
    let isSpline = spec.functionName == ResamplingSpec.splineFunction
    if isSpline, spec.order == 1, separateAxis == nil || spec.orderZ == 0 {
      self = .linear(separateAxis: separateAxis)
    } else {
      self = .wholeClass(roundsToHalf: isSpline) { logits in
        try resample(
          logits, to: space.croppedShape, from: space.logitsSpacing, to: space.spacing, using: spec)
      }
    }
  }
}
