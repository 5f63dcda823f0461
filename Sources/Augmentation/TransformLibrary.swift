// The transforms by their names, for scripts and for pipelines that were kept as data.

package import Reporting

/// Every transform that there is.
package enum TransformLibrary {
  /// One transform of the library.
  package struct Entry: Sendable {
    package let kind: String
    /// What it does, in one sentence.
    package let summary: String
    fileprivate let make: @Sendable (_ patchSize: [Int]) -> any AugmentationTransform

    fileprivate init(
      _ kind: String, _ summary: String, _ make: @escaping @Sendable ([Int]) -> any AugmentationTransform
    ) {
      self.kind = kind
      self.summary = summary
      self.make = make
    }
  }

  /// The names, in alphabetical order.
  package static var kinds: [String] { entries.map(\.kind) }

  /// A transform by its name.
  package static func make(_ kind: String, patchSize: [Int]) throws(Diagnostic) -> any AugmentationTransform {
    guard let entry = entries.first(where: { $0.kind == kind }) else {
      throw Diagnostic(
        "there is no augmentation transform \"\(kind)\"", expected: kinds.joined(separator: ", "),
        found: kind,
        remedy: nearestName(to: kind, in: kinds).map { "did you mean \"\($0)\"?" }
          ?? "use one of the names above")
    }
    return entry.make(patchSize)
  }

  package static let entries: [Entry] = [
    Entry("blank_rectangle", "Fills boxes of some channels with the mean of what is in them.") { _ in
      BlankRectangleTransform()
    },
    Entry("brightness", "Multiplies channels by factors of their own.") { _ in BrightnessTransform() },
    Entry("brightness_additive", "Adds a normal number of its own to each of some channels.") { _ in
      AdditiveBrightnessTransform()
    },
    Entry("brightness_gradient", "Adds a bump of random place, width and height to some channels.") { _ in
      BrightnessGradientTransform()
    },
    Entry("contrast", "Stretches channels about their mean.") { _ in ContrastTransform() },
    Entry("contrast_in_or_out", "Stretches channels about their mean, within their old range or beyond it.") {
      _ in
      OneOfTransform(
        "contrast_in_or_out",
        [
          ("clipped", ContrastTransform(preservesRange: true)),
          ("unclipped", ContrastTransform(preservesRange: false)),
        ])
    },
    Entry("deep_supervision", "Makes one target per resolution of the network.") { _ in
      DeepSupervisionTransform()
    },
    Entry("gamma", "Raises the relative intensity of channels to a power, keeping mean and deviation.") { _ in
      GammaTransform()
    },
    Entry("gamma_inverted", "The same on the inverted image.") { _ in GammaTransform(inverts: true) },
    Entry("gaussian_blur", "Blurs some channels with a Gaussian.") { _ in GaussianBlurTransform() },
    Entry("gaussian_noise", "Adds normal noise.") { _ in GaussianNoiseTransform() },
    Entry(
      "local_gamma", "Mixes some channels with a power of themselves, by a bump of random place and width."
    ) { _ in LocalGammaTransform() },
    Entry("low_resolution", "Shrinks some channels and enlarges them again.") { _ in LowResolutionTransform()
    },
    Entry("mask_image", "Sets channels to zero outside the nonzero mask.") { _ in MaskImageTransform() },
    Entry("median", "Replaces voxels of some channels by the median of a cube around them.") { _ in
      MedianFilterTransform()
    },
    Entry("median_or_blur", "One of the two, chosen for every sample.") { _ in
      OneOfTransform(
        "median_or_blur", [("median", MedianFilterTransform()), ("blur", GaussianBlurTransform())])
    },
    Entry("mirror", "Flips axes.") { _ in MirrorTransform() },
    Entry("move_seg_as_one_hot", "Moves a previous stage's labels into the image.") { _ in
      MoveSegmentationTransform()
    },
    Entry("quarter_turn", "Turns by quarters in the plane of two axes of equal extent.") { _ in
      QuarterTurnTransform()
    },
    Entry("random_binary_operator", "Dilates, erodes, opens or closes a previous stage's labels.") { _ in
      BinaryOperatorTransform()
    },
    Entry("regions", "Turns labels into regions.") { _ in RegionsTransform() },
    Entry("remove_label", "Replaces one label by another.") { _ in RemoveLabelTransform() },
    Entry("remove_random_component", "Deletes a component of a previous stage's labels.") { _ in
      RemoveComponentTransform()
    },
    Entry("sharpening", "Adds some of the Laplacian to some channels.") { _ in SharpeningTransform() },
    Entry("spatial", "Rotates and scales, and crops to the patch.") { SpatialTransform(patchSize: $0) },
    Entry("transpose", "Puts axes of equal extent in another order.") { _ in TransposeTransform() },
  ]
}
