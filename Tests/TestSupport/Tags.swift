// The tags by which tests can be picked or left out.

package import Testing

extension Tag {
  /// Compares with files written by the reference implementation.
  @Tag package static var golden: Self
}
