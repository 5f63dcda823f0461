// Which axes a trainer mirrors, for patches of two and of three dimensions.

extension TrainerSettings {
  /// The axes that training mirrors along and prediction may, for patches of so many dimensions.
  ///
  /// Negative axes count from the last, -1; axes that a patch does not have are left out, so that {-3, -2} are the
  /// first two of three axes and the first of two.
  package func mirrorAxes(dimensionCount: Int) -> [Int] {
    guard let mirrorAxes else { return Array(0..<dimensionCount) }
    let axes = Set(mirrorAxes.map { $0 < 0 ? $0 + dimensionCount : $0 })
    return (0..<dimensionCount).filter(axes.contains)
  }
}
