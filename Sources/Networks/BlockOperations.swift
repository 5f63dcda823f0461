// Differentiable operations between convolutions: running statistics of norms, activations, dropout.
// N batch, C channels.

package import Backends
import Reporting
import Tensors

/// Statistics of a norm over the batches of a training, kept with the weights.
package struct RunningStatistics {
  /// `[C]` each.
  package let mean: Parameter
  package let variance: Parameter
  /// How many batches have been seen, one number; `nil` where nobody counts, as in instance norm.
  package let batchCount: Parameter?
  /// The share of a batch; `nil` for the mean over all batches.
  package let momentum: Double?

  package init(mean: Parameter, variance: Parameter, batchCount: Parameter?, momentum: Double?) {
    self.mean = mean
    self.variance = variance
    self.batchCount = batchCount
    self.momentum = momentum
  }

  /// Takes a batch's statistics into account.
  func follow(
    _ statistics: NormalizationStatistics, valueCount: Int, backend: any Backend
  ) {
    if backend.pool.isVirtual { return }
    var share = momentum ?? 0
    if let batchCount {
      batchCount.value.floats[0] += 1
      share = momentum ?? 1 / Double(batchCount.value.floats[0])
    }
    backend.follow(
      statistics, mean: mean.value, variance: variance.value, valueCount: valueCount, share: share)
  }
}

extension Tape {
  /// A norm's value and the statistics it was made with.
  func normalized(
    _ source: Tensor, _ scale: Parameter, _ shift: Parameter, _ settings: NormalizationSettings,
    _ running: RunningStatistics?
  ) throws(Diagnostic) -> (result: Tensor, statistics: NormalizationStatistics) {
    if let running, !isTraining {
      let statistics = backend.constantStatistics(
        mean: running.mean.value, variance: running.variance.value, batchCount: source.batchCount,
        settings: settings)
      return (
        backend.normalize(
          source, scale: scale.value, shift: shift.value, statistics: statistics, settings: settings),
        statistics
      )
    }
    let valueCount = source.voxelCount * (settings.extent == .batch ? source.batchCount : 1)
    guard valueCount > 1 || (settings.extent == .sample && running == nil) else {
      throw Diagnostic(
        "a norm has nothing to compare", expected: "more than one value per channel",
        found: "features \(source.shape)", remedy: "take a larger patch or batch, or fewer stages")
    }
    let (result, statistics) = backend.normalize(
      source, scale: scale.value, shift: shift.value, settings: settings)
    running?.follow(statistics, valueCount: valueCount, backend: backend)
    return (result, statistics)
  }

  /// A function of every number.
  package func activate(_ x: Variable, _ function: ActivationFunction) -> Variable {
    let source = x.value
    let result = backend.activate(source, function)
    let saved =
      recomputes(result)
      ? SavedValue(of: result) { [backend] in backend.activate(source, function) } : SavedValue(result)
    let y = Variable(result, saved: saved)
    record { [backend, slot = y.gradient, behind = x.gradient] in
      guard let gradient = slot?.take() else { return }
      behind?.add(backend.activationGradient(gradient, source: source, function), backend: backend)
    }
    return y
  }

  /// Leaky ReLU with a learnt slope.
  package func parametricReLU(_ x: Variable, slope: Parameter) -> Variable {
    let source = x.value
    let y = Variable(backend.parametricReLU(source, slope: slope.value))
    record { [backend, slot = y.gradient, behind = x.gradient] in
      guard let gradient = slot?.take() else { return }
      let gradients = backend.parametricReLUGradients(gradient, source: source, slope: slope.value)
      slope.receive(gradients.slope, backend: backend)
      behind?.add(gradients.source, backend: backend)
    }
    return y
  }

  /// Dropout, with what is kept scaled up; in evaluation the input itself.
  package func dropout(_ x: Variable, _ settings: DropoutSettings) -> Variable {
    guard settings.probability > 0, let key = nextRandomKey() else { return x }
    let source = x.value
    let result = backend.dropout(source, settings, key: key)
    let y = Variable(result)
    record { [backend, slot = y.gradient, precision = source.precision, behind = x.gradient] in
      guard let gradient = slot?.take() else { return }
      // What is dropped follows from the key: nothing needs to be kept.
      behind?.add(
        backend.dropout(backend.activation(gradient, precision: precision), settings, key: key),
        backend: backend)
    }
    return y
  }
}
