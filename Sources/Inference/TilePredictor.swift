// What inference needs of a network: tiles in, logits out. The engine supplies it.
// N batch, C channels, K classes, Z Y X array axes (slowest first)

package import Tensors

/// A trained network as the sliding window sees it.
package protocol TilePredictor {
  /// Channels of the logits: one per label with the background, or one per region.
  var outputChannelCount: Int { get }

  /// Computes the logits of a batch of tiles.
  ///
  /// - Shape: tiles `[N, C, (Z,) Y, X]`, result `[N, K, (Z,) Y, X]`
  func predict(_ tiles: NDArray<Float>) throws -> NDArray<Float>
}
