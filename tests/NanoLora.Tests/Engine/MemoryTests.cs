using Xunit.Abstractions;

namespace NanoLora.Tests.Engine;

/// <summary>A training step in its steady state asks nothing of the system and allocates no arrays: only the tape's small objects.</summary>
public class MemoryTests(ITestOutputHelper output) : EngineTest
{
    private const int Rows = 64, Width = 96, Rank = 4, Layers = 4;

    [Fact]
    public void Native_memory_stays_after_the_first_step()
    {
        using var model = new Toy(Backend);
        model.Step(Rows);
        var reserved = Backend.ReservedBytes;
        for (var step = 0; step < 5; step++) model.Step(Rows);
        Assert.Equal(reserved, Backend.ReservedBytes);
    }

    // Managed bytes do not depend on the sizes of the tensors, so there are no arrays among them, and they do not grow.
    [Fact]
    public void Managed_bytes_of_a_step_are_few_and_do_not_depend_on_sizes()
    {
        using var model = new Toy(Backend);
        for (var step = 0; step < 3; step++)
        {
            model.Step(Rows);
            model.Step(4 * Rows);
        }
        var few = Bytes(() => model.Step(Rows));
        var again = Bytes(() => model.Step(Rows));
        var many = Bytes(() => model.Step(4 * Rows));
        output.WriteLine($"{few} bytes for {model.Operations} operations: {few / model.Operations} bytes an operation, forward and backward.");
        Assert.Equal(few, again);
        Assert.Equal(few, many);
        Assert.True(few / model.Operations <= 1200, $"{few / model.Operations} managed bytes an operation.");
    }

    [Fact]
    public void A_block_that_is_let_go_serves_the_next_tensor_of_its_size()
    {
        using var scope = Backend.Scope();
        var x = Workspace.New(new Shape(100, 100));
        var storage = x.Storage;
        x.Dispose();
        Assert.Same(storage, Workspace.New(new Shape(99, 101)).Storage);
    }

    [Fact]
    public void Blocks_are_aligned_for_vectors()
    {
        using var scope = Backend.Scope();
        for (var n = 1; n < 3000; n += 97) Assert.Equal(0, ((CpuStorage)Workspace.New(new Shape(n)).Storage).Address % 64);
    }

    [Fact]
    public void Waste_of_a_size_class_is_a_quarter_at_most()
    {
        using var scope = Backend.Scope();
        for (var n = 64; n < 100000; n = n * 5 / 4 + 1) Assert.InRange(Workspace.New(new Shape(n)).Storage.Bytes, 4L * n, 5L * n);
    }

    [Fact]
    public void More_elements_than_a_tensor_holds_are_refused()
    {
        var error = Assert.Throws<ArgumentException>(() => Workspace.New(new Shape(65536, 32768)));
        Assert.Contains("[65536, 32768]", error.Message);
        Assert.Contains("2^31", error.Message);
        Assert.Equal(0, Backend.LiveBlocks);
    }

    // The least of some runs: the runtime itself allocates now and then, when it compiles a method anew.
    private static long Bytes(Action run)
    {
        var least = long.MaxValue;
        for (var repeat = 0; repeat < 5; repeat++)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            run();
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }
        return least;
    }

    /// <summary>Blocks of norm, frozen linear with a trained LoRA, activation and residual, with a loss: the operations of a fine-tuning step.</summary>
    private sealed class Toy : IDisposable
    {
        private readonly CpuBackend _backend;
        private readonly Parameter _weight, _norm, _a, _b;
        private readonly float[] _x = Normal(4 * Rows * Width, 5);
        private readonly int[] _targets = new int[4 * Rows];

        public Toy(CpuBackend backend)
        {
            _backend = backend;
            using var scope = backend.Scope();
            _weight = new Parameter(backend.Main.From(Normal(Width * Width, 1), new Shape(Width, Width)));
            _norm = new Parameter(backend.Main.From(Normal(Width, 2), new Shape(Width)));
            _a = new Parameter(backend.Main.From(Normal(Rank * Width, 3), new Shape(Rank, Width))) { Trains = true };
            _b = new Parameter(backend.Main.From(Normal(Width * Rank, 4), new Shape(Width, Rank))) { Trains = true };
        }

        public int Operations => 5 * Layers + 1;

        public void Step(int rows)
        {
            using (_backend.Scope())
            {
                var y = _backend.Main.From(_x.AsSpan(0, rows * Width), new Shape(rows, Width));
                for (var layer = 0; layer < Layers; layer++)
                {
                    var h = y.LayerNorm(_norm, null);
                    y = y + h.LoraStack(h.Linear(_weight), _a, _b, 0.5f).Gelu();
                }
                y.CrossEntropy(_backend.Main.From(_targets.AsSpan(0, rows), new Shape(rows))).Backward();
            }
            _a.ClearGradient();
            _b.ClearGradient();
        }

        public void Dispose()
        {
            _weight.Dispose();
            _norm.Dispose();
            _a.Dispose();
            _b.Dispose();
        }
    }
}
