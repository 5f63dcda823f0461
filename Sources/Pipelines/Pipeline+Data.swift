// The first step: finding a dataset and checking all its files.

package import Datasets
import Foundation
import Reporting

extension Pipeline {
  /// The raw dataset that a number or name means.
  package func openDataset(_ idOrName: String) throws -> RawDataset {
    try RawDataset(folder: roots.rawFolder(of: roots.resolveName(idOrName)))
  }
}
