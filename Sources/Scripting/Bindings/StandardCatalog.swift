// The list of everything in the `lunette` table.

extension Catalog {
  /// What scripts can reach.
  package static let standard = Catalog(functions: [], objects: [])
}
