namespace NanoLora.Tests.Gpu;

/// <summary>The tiles of attention, each with more than one of queries, of keys and of slabs, beside the processor's.</summary>
public class GpuAttentionTests(DeviceFixture fixture) : IClassFixture<DeviceFixture>
{
    // Head sizes at, below and between the tiles'; queries, keys, query heads, key heads; order, window, soft-cap, mask.
    public static TheoryData<int, int, int, int, int, bool, int, float, bool> Cases => new()
    {
        { 24, 197, 197, 2, 2, false, 0, 0, false },
        { 32, 70, 90, 2, 1, true, 0, 0, true },
        { 64, 197, 197, 3, 3, false, 0, 0, false },
        { 64, 130, 131, 4, 2, true, 40, 5, true },
        { 64, 1, 100, 2, 2, true, 0, 0, false },
        { 80, 66, 70, 2, 2, true, 0, 0, false },
        { 128, 67, 150, 4, 2, true, 0, 0, false },
        { 96, 70, 40, 2, 1, true, 0, 0, false },             // the first queries see nothing
        { 200, 33, 140, 2, 2, false, 0, 2, true },
        { 256, 20, 300, 2, 1, true, 64, 0, false },
        { 33, 65, 33, 1, 1, false, 7, 0, false },
    };

    [DeviceTheory]
    [Trait("Needs", "device")]
    [MemberData(nameof(Cases))]
    public void A_device_agrees_with_the_processor(int size, int queries, int keys, int heads, int keyHeads, bool causal, int window, float softcap,
        bool masked) =>
        Agrees(fixture.Backend, size, queries, keys, heads, keyHeads, new AttentionOptions(causal, window, softcap), masked);

    // Which checks every access to memory, shared memory too.
    [Fact]
    public void The_interpreter_agrees_with_the_processor()
    {
        using var backend = new GpuBackend(GpuDevice.Interpreter);
        Agrees(backend, 13, 6, 11, 2, 1, new AttentionOptions(Causal: true), masked: true);
        Agrees(backend, 5, 5, 9, 1, 1, new AttentionOptions(Window: 6, Softcap: 3), masked: false);
        Assert.Equal(0, backend.LiveBlocks);
    }

    [Fact]
    public void A_head_too_large_is_refused_with_what_there_may_be()
    {
        using var backend = new GpuBackend(GpuDevice.Interpreter);
        using var scope = backend.Scope(grad: false);
        var x = backend.Main.Zeros(new Shape(1, 2, 1, 17));
        var error = Assert.Throws<ArgumentException>(() => x.Attention(x, x));
        Assert.Contains("heads of 17", error.Message, StringComparison.Ordinal);
        Assert.Contains("16 elements", error.Message, StringComparison.Ordinal);
    }

    // Slabs of values go where slabs of keys were, threads take four elements at a time, and rows begin in different banks.
    [Fact]
    public void Tiles_keep_their_promises()
    {
        Holds<HeadsOf16>();
        Holds<HeadsOf32>();
        Holds<HeadsOf64>();
        Holds<HeadsOf128>();
        Holds<HeadsOf256>();

        static void Holds<T>() where T : IHeadTile
        {
            int keys = 4 * T.Across, slab = keys * (T.SlabCols / 4 + 1);
            Assert.True(T.SlabRows * (T.Size / 4 + 1) <= slab);
            Assert.True(T.Size == 4 * T.Across || T.Size == 8 * T.Across);
            Assert.True(T.SlabCols != T.Size || T.SlabRows == keys);                         // what is there already must be whole
            Assert.Equal(0, keys % T.SlabRows);
            Assert.Equal(0, T.SlabRows % 4);
            Assert.Equal(1, (T.SlabCols / 4 + 1) % 2);
            Assert.Equal(1, (T.Size / 4 + 1) % 2);
            foreach (var down in (int[])[T.Down, T.DownBack])
            {
                var atOnce = 4 * T.Across * down;
                Assert.All((int[])[4 * down * T.Size, keys * T.SlabCols, T.SlabRows * T.Size], loaded => Assert.Equal(0, loaded % atOnce));
            }
            int p = T.Across + (T.Across + 3) / 4, tile = T.Size / 4 + 1;
            Assert.True(16 * (4 * T.Down * (tile + p) + slab + T.Across * T.Down) <= 48 << 10);
            Assert.True(16 * (4 * T.DownBack * (2 * tile + p) + slab + T.Across * T.DownBack) <= 48 << 10);
        }
    }

    private static void Agrees(GpuBackend device, int size, int queries, int keys, int heads, int keyHeads, AttentionOptions options, bool masked)
    {
        using var cpu = new CpuBackend(1);
        var (want, got) = (Run(cpu), Run(device));
        for (var n = 0; n < want.Length; n++)
        {
            var worst = 0f;
            for (var i = 0; i < want[n].Length; i++)
            {
                var error = Math.Abs(got[n][i] - want[n][i]) / Math.Max(1, Math.Abs(want[n][i]));
                worst = float.IsNaN(error) ? float.PositiveInfinity : Math.Max(worst, error);
            }
            Assert.True(worst <= 2e-5, $"{s_names[n]} is off by {worst:E1}");
        }

        float[][] Run(Backend backend)
        {
            using Parameter q = Filled(1, new Shape(2, queries, heads, size)), k = Filled(2, new Shape(2, keys, keyHeads, size)), v = Filled(3, k.Shape),
                m = Filled(4, new Shape(1, heads, queries, keys));
            using var scope = backend.Scope();
            var y = q.Value.Attention(k, v, options, masked ? m.Value : null);
            y.Backward(backend.Main.From(Normals(5, y.Count), y.Shape));
            return [y.ToArray(), q.Gradient!.ToArray(), k.Gradient!.ToArray(), v.Gradient!.ToArray(), masked ? m.Gradient!.ToArray() : []];

            Parameter Filled(ulong stream, Shape shape)
            {
                using var x = backend.Main.From(Normals(stream, shape.Count), shape);
                return new(x) { Trains = true };
            }
        }
    }

    private static readonly string[] s_names = ["y", "dq", "dk", "dv", "dmask"];

    private static float[] Normals(ulong stream, int count)
    {
        var random = new Philox(9, stream);
        return [.. Enumerable.Range(0, count).Select(i => random.Normal((ulong)i))];
    }
}
