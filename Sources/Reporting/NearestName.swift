// "Did you mean": the closest of several names by edit distance.

/// The candidate closest to `name`, if one is close enough to be a likely typo.
package func nearestName(to name: String, in candidates: some Sequence<String>) -> String? {
  let limit = max(2, name.count / 3)
  var best: (name: String, distance: Int)?
  for candidate in candidates {
    let distance = editDistance(name.lowercased(), candidate.lowercased())
    guard distance <= limit, distance <= (best?.distance ?? .max) else { continue }
    // Of equals, one that goes on where the name ends was meant more likely.
    if distance == best?.distance, !candidate.lowercased().hasPrefix(name.lowercased()) { continue }
    best = (candidate, distance)
  }
  return best?.name
}

/// The Levenshtein distance between two strings.
package func editDistance(_ a: String, _ b: String) -> Int {
  let b = Array(b)
  var row = Array(0...b.count)
  for (i, x) in a.enumerated() {
    var diagonal = row[0]
    row[0] = i + 1
    for j in b.indices {
      let substitution = diagonal + (x == b[j] ? 0 : 1)
      diagonal = row[j + 1]
      row[j + 1] = min(substitution, row[j] + 1, diagonal + 1)
    }
  }
  return row[b.count]
}
