// Which case, which box: nnU-Net's patch sampling with foreground oversampling. Reading and augmenting is in
// BatchRecipe.swift.

package import Tensors
package import Volumes

/// Chooses cases and boxes for the samples of a batch.
package struct PatchSampler: Sendable {
  package var batchSize: Int
  /// Extents of the patch the network sees, `[Z, Y, X]`; flat patches have a leading extent of 1.
  package let patchSize: [Int]
  /// Extents of the patch to read, at least those of ``patchSize``.
  package let sourcePatchSize: [Int]
  /// The fraction of samples that are forced to contain foreground.
  package var foregroundFraction = 0.33  // nnU-Net's oversample_foreground_percent
  /// Whether each sample is forced by chance, rather than always the last ones of a batch.
  package var forcesByChance = false
  /// Whether samples that are not forced are centred on annotated voxels, as an ignore label asks for.
  package var hasIgnoreLabel = false

  /// A sampler for two- or three-dimensional patches; `sourcePatchSize` is the enlarged patch for training.
  package init(batchSize: Int, patchSize: [Int], sourcePatchSize: [Int]? = nil) {
    precondition(patchSize.count == 2 || patchSize.count == 3, "patches have two or three dimensions")
    let source = sourcePatchSize ?? patchSize
    precondition(zip(source, patchSize).allSatisfy { $0 >= $1 }, "\(source) does not hold \(patchSize)")
    let flat = patchSize.count == 2 ? [1] : []
    self.batchSize = batchSize
    self.patchSize = flat + patchSize
    self.sourcePatchSize = flat + source
  }

  /// A case drawn with replacement.
  package func chooseCase(from identifiers: [String], using random: inout RandomSource) -> String {
    identifiers[random.integer(below: identifiers.count)]
  }

  /// Whether a sample, counted from 0, has to contain foreground.
  package func isForced(sample: Int, using random: inout RandomSource) -> Bool {
    if forcesByChance { return random.uniform() < foregroundFraction }
    return sample >= firstForcedSample
  }

  /// The first of the last samples of a batch, which are forced.
  private var firstForcedSample: Int {
    Int((Double(batchSize) * (1 - foregroundFraction)).rounded(.toNearestOrEven))
  }

  /// The share of a batch that the rule of the last samples forces: one half at a batch of two.
  package var forcedShare: Double { Double(batchSize - firstForcedSample) / Double(batchSize) }

  /// The samplers of several devices that share a batch: how many samples each takes, and what fraction of them is
  /// forced.
  ///
  /// - Source: nnU-Net's distributed training.
  package func shares(deviceCount: Int) -> [PatchSampler] {
    precondition(deviceCount >= 1 && deviceCount <= batchSize, "every device needs a sample")
    let limit = 1 - foregroundFraction
    var first = 0
    return (0..<deviceCount).map { device in
      let base = batchSize / deviceCount
      var share = self
      share.batchSize = base + (base * deviceCount + device < batchSize ? 1 : 0)
      let last = first + share.batchSize
      defer { first = last }
      guard !forcesByChance else { return share }
      if Double(last) / Double(batchSize) < limit {
        share.foregroundFraction = 0
      } else if Double(first) / Double(batchSize) > limit {
        share.foregroundFraction = 1
      } else {
        let forced = last - min(last, max(first, firstForcedSample))
        share.foregroundFraction = Double(forced) / Double(share.batchSize)
      }
      return share
    }
  }

  /// The first and last start of a randomly placed box along each axis.
  package func startLimits(in shape: [Int]) -> (lower: [Int], upper: [Int]) {
    var lower: [Int] = []
    var upper: [Int] = []
    for (axis, extent) in shape.enumerated() {
      let patch = sourcePatchSize[axis]
      // Half of the padding lies on either side, rounded up on both.
      let padding = max(patch - patchSize[axis], patch - extent)
      lower.append(-((padding + 1) / 2))
      upper.append(extent + (padding + 1) / 2 - patch)
    }
    return (lower, upper)
  }

  /// The box to read for one sample, of the source patch's size; parts of it may lie outside the image.
  ///
  /// A forced box is centred on a voxel and kept from starting too low, but it may end far beyond the image.
  package func box(
    in shape: [Int], candidates: [ForegroundCandidates], isForced: Bool, using random: inout RandomSource
  ) -> BoundingBox {
    let limits = startLimits(in: shape)
    let start: [Int]
    if let center = center(candidates, isForced, &random) {
      start = shape.indices.map { max(limits.lower[$0], center[$0] - sourcePatchSize[$0] / 2) }
    } else {
      start = shape.indices.map {
        limits.lower[$0] + random.integer(below: limits.upper[$0] - limits.lower[$0] + 1)
      }
    }
    return BoundingBox(lower: start, upper: zip(start, sourcePatchSize).map { $0 + $1 })
  }

  /// The voxel to centre on: a class first, then one of its voxels, so that rare classes come up as often as
  /// others.
  private func center(
    _ candidates: [ForegroundCandidates], _ isForced: Bool, _ random: inout RandomSource
  ) -> [Int]? {
    guard isForced || hasIgnoreLabel else { return nil }
    let present = candidates.filter { !$0.isEmpty }
    let annotated = present.filter(\.coversAllAnnotated)
    let classes = present.filter { !$0.coversAllAnnotated }
    let eligible = isForced && !classes.isEmpty ? classes : annotated
    guard !eligible.isEmpty else { return nil }
    let voxels = eligible[random.integer(below: eligible.count)].voxels
    let row = random.integer(below: voxels.shape[0]) * 3
    return voxels.elements[row..<row + 3].map(Int.init)
  }
}
