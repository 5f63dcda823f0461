// Topology and memory estimate against the reference's traces.

import Planning
import Testing

@Suite("NetworkTopology")
struct NetworkTopologyTests {
  private func topology(_ spacing: [Double], _ patch: [Double]) -> NetworkTopology {
    NetworkTopology(
      spacing: spacing, patch: patch, minimumEdge: PlannerConstants.standard.minimumFeatureMapEdge)
  }

  @Test("An anisotropic patch pools its fine axes first")
  func anisotropic() {
    let result = topology([3.6, 0.625, 0.625], [20, 320, 256])
    #expect(
      result.strides == [[1, 1, 1], [1, 2, 2], [1, 2, 2], [2, 2, 2], [2, 2, 2], [1, 2, 2], [1, 2, 2]])
    #expect(result.kernelSizes == [[1, 3, 3], [1, 3, 3]] + Array(repeating: [3, 3, 3], count: 5))
    #expect(result.divisibility == [4, 64, 64])
    #expect(result.patchSize == [20, 320, 256])
  }

  @Test("A fractional patch is padded to what the strides need")
  func fractional() {
    let result = topology([1, 1, 1], [36.5, 50, 35])
    #expect(result.divisibility == [8, 8, 8])
    #expect(result.patchSize == [40, 56, 40])
  }

  @Test("Network sizes are those of the reference")
  func estimates() throws {
    func estimate(_ patch: [Double], _ classCount: Int, _ planner: String) throws -> Int {
      let constants = try PlannerConstants.named(planner)
      let result = topology(patch.map { _ in 1 }, patch)
      let maximum = patch.count == 2 ? constants.maximumFeatureCount2D : constants.maximumFeatureCount3D
      let features = (0..<result.stageCount).map { min(maximum, 32 << $0) }
      return MemoryEstimate(
        topology: result, features: features, classCount: classCount, constants: constants
      )
      .elementCount
    }
    #expect(try estimate([128, 128, 128], 2, "default") == 450_699_264)
    #expect(try estimate([128, 128, 128], 3, "default") == 452_796_416)
    #expect(try estimate([512, 512], 2, "default") == 82_624_512)
    #expect(try estimate([512, 512], 3, "default") == 82_886_656)
    #expect(try estimate([128, 128, 128], 2, "ResEncM") == 555_323_392)
    #expect(try estimate([512, 512], 3, "ResEncL") == 129_703_936)
    #expect(try estimate([224, 320, 320], 3, "default") == 4_953_244_800)
  }
}
