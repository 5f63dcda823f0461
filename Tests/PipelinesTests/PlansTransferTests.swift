// Plans of one dataset for another: names, identifiers and the reader change, decisions stay.

import Archives
import Datasets
import Foundation
import Pipelines
import Planning
import Reporting
import TestSupport
import Testing

@Suite struct PlansTransferTests {
  let root: URL
  let pipeline: Pipeline

  init() throws {
    root = try Goldens.temporaryFolder("transfer")
    pipeline = Pipeline(roots: DatasetRoots(root: root))
    var options = PhantomOptions()
    options.trainingCaseCount = 3
    options.heldOutCaseCount = 0
    options.extentMillimeters = 24
    try makePhantomDataset(at: pipeline.roots.rawFolder(of: "Dataset900_Source"), options: options)
    try makePhantomDataset(at: pipeline.roots.rawFolder(of: "Dataset901_Target"), options: options)
    let dataset = try pipeline.openDataset("900")
    try pipeline.planExperiment(for: dataset, pipeline.extractFingerprint(of: dataset))
  }

  @Test("The new plans bear the target's name and their own, and keep every decision")
  func renamed() throws {
    try pipeline.movePlans(named: "nnUNetPlans", from: "900", to: "Dataset901_Target", as: "PlansFrom900")
    let source = try pipeline.readPlans(named: "nnUNetPlans", of: "Dataset900_Source")
    let moved = try pipeline.readPlans(named: "PlansFrom900", of: "Dataset901_Target")
    #expect(moved.datasetName == "Dataset901_Target" && moved.plansName == "PlansFrom900")
    #expect(moved.readerWriter == "SimpleITKIO")
    let (old, new) = (
      try source.configuration(named: "3d_fullres"), try moved.configuration(named: "3d_fullres")
    )
    #expect(new.dataIdentifier == "PlansFrom900_3d_fullres" && old.dataIdentifier == "nnUNetPlans_3d_fullres")
    #expect(new.patchSize == old.patchSize && new.spacing == old.spacing && new.batchSize == old.batchSize)
    #expect(moved.json.keys == source.json.keys)
  }

  @Test("Without a new name the plans keep theirs, and foreign identifiers get the new name before them")
  func sameName() throws {
    try pipeline.movePlans(named: "nnUNetPlans", from: "900", to: "901")
    let moved = try pipeline.readPlans(named: "nnUNetPlans", of: "Dataset901_Target")
    #expect(moved.plansName == "nnUNetPlans" && moved.datasetName == "Dataset901_Target")
    #expect(try moved.configuration(named: "2d").dataIdentifier == "nnUNetPlans_2d")
    let missing = #expect(throws: Diagnostic.self) {
      try pipeline.movePlans(named: "nnUNetPlan", from: "900", to: "901")
    }
    #expect(missing?.remedy?.contains("nnUNetPlans") == true)
    #expect(throws: Diagnostic.self) { try pipeline.movePlans(named: "nnUNetPlans", from: "900", to: "902") }
  }
}
