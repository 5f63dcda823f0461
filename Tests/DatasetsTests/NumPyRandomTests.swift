// NumPyRandom against sequences that NumPy's RandomState produced.

import Datasets
import Testing

@Suite("NumPyRandom")
struct NumPyRandomTests {
  @Test("The first words are NumPy's")
  func words() {
    var random = NumPyRandom(seed: 1234)
    #expect((0..<4).map { _ in random.next() } == [822_569_775, 2_137_449_171, 2_671_936_806, 3_512_589_365])
    random = NumPyRandom(seed: 12345)
    #expect((0..<4).map { _ in random.next() } == [3_992_670_690, 3_823_185_381, 1_358_822_685, 561_383_553])
  }

  @Test("A permutation is NumPy's")
  func permutation() {
    var random = NumPyRandom(seed: 1234)
    #expect(random.permutation(10) == [7, 2, 9, 1, 0, 8, 4, 5, 6, 3])
  }

  @Test("Draws with replacement are NumPy's, however they are cut into pieces")
  func draws() {
    let values = (0..<10).map(Float.init)
    let expected = [3, 6, 5, 4, 8, 9, 1, 7]
    var random = NumPyRandom(seed: 1234)
    #expect((0..<8).map { _ in random.integer(upTo: 9) } == expected)
    random = NumPyRandom(seed: 1234)
    var drawn = Array<Float>(repeating: -1, count: 2000)
    values.withUnsafeBufferPointer { values in
      drawn.withUnsafeMutableBufferPointer { random.draw(from: values, into: $0) }
    }
    #expect(drawn.prefix(8).map { Int($0) } == expected)
    var singly = NumPyRandom(seed: 1234)
    #expect(drawn.map { Int($0) } == (0..<2000).map { _ in singly.integer(upTo: 9) })
    #expect(random.next() == singly.next())
  }

  @Test("A choice among one consumes no random bits")
  func single() {
    var random = NumPyRandom(seed: 7)
    var untouched = random
    #expect(random.integer(upTo: 0) == 0)
    #expect(random.next() == untouched.next())
  }

  @Test("A choice without replacement is the start of a permutation")
  func choice() {
    var random = NumPyRandom(seed: 12350)
    #expect(random.choice(8, below: 10) == [0, 8, 4, 5, 3, 9, 7, 6])
  }
}
