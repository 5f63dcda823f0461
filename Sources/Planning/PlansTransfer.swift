// Plans of one dataset for another, so that networks trained on the one can start on the other.

package import Archives
package import Datasets
import Foundation
import Reporting
package import VolumeFormats

extension Plans {
  /// These plans under another dataset's name, with the reader of its files.
  ///
  /// Identifiers of preprocessed data follow the plans' new name, so that nothing of other plans is overwritten.
  /// - Source: nnU-Net's transfer of plans for pretraining.
  package func transferred(to dataset: RawDataset, named name: String) throws -> JSON {
    var object = json
    object["dataset_name"] = .string(dataset.name)
    if name != plansName, var configurations = object["configurations"]?.object {
      for (key, value) in configurations.pairs {
        guard var configuration = value.object, let old = configuration["data_identifier"]?.string else {
          continue
        }
        configuration["data_identifier"] = .string(
          old.hasPrefix(plansName) ? name + old.dropFirst(plansName.count) : "\(name)_\(old)")
        configurations[key] = .object(configuration)
      }
      object["configurations"] = .object(configurations)
    }
    object["image_reader_writer"] = .string(try dataset.readerForForeignPlans().rawValue)
    object["plans_name"] = .string(name)
    return .object(object)
  }
}

extension RawDataset {
  /// The reader that nnU-Net gives to plans that come from elsewhere: the first that opens the first image.
  ///
  /// File endings do not count there, so that SimpleITK takes .nii files and stacks of TIFF.
  package func readerForForeignPlans() throws -> ImageReader {
    let usual = try reader()
    guard description.readerWriter.flatMap({ ImageReader(rawValue: $0) }) == nil else { return usual }
    switch usual {
    case .nibabel, .tiff3D: return .simpleITK
    default: return usual
    }
  }
}
