using NanoLora.Nn;

namespace NanoLora.Tests.Composition;

/// <summary>PEFT's merges beyond what the golden vectors hold: its clamp on its own singular vectors, its peculiarities, and what is refused.</summary>
public class PeftMergeTests : EngineTest
{
    [Theory]
    [InlineData("0.attention.attention.query")]
    [InlineData("0.attention.attention.value")]
    [InlineData("1.attention.attention.query")]
    [InlineData("1.attention.attention.value")]
    public void Clamping_peft_s_own_singular_vectors_gives_peft_s_result(string matrix)
    {
        using var file = Checkpoint.Open(Path.Combine(AppContext.BaseDirectory, "Golden", "composition", "peft-vit", "golden.safetensors"));
        double[] Read(string job, string side)
        {
            var entry = file[$"{job}.{side}.vit.encoder.layer.{matrix}"];
            var values = new float[entry.Count];
            file.CopyTo(entry, values);
            return Array.ConvertAll(values, static x => (double)x);
        }
        // The two jobs differ in the clamp alone.
        double[] a = Read("svd", "A"), b = Read("svd", "B"), wantA = Read("svd-clamped", "A"), wantB = Read("svd-clamped", "B");
        Assert.NotEqual(b, wantB);
        PeftMerge.Clamp(b, a, 0.95);
        for (var i = 0; i < a.Length; i++) Assert.Equal(wantA[i], a[i], 2e-7);
        for (var i = 0; i < b.Length; i++) Assert.Equal(wantB[i], b[i], 2e-7);
    }

    [Fact]
    public void One_module_is_merged_linearly_whatever_is_asked()
    {
        using var model = Tiny.Model(Backend);
        using var module = Tiny.Module(model, "m", 3, static _ => (3, 5));
        foreach (var type in (PeftCombination[])[PeftCombination.Linear, PeftCombination.Svd, PeftCombination.TiesSvd])
        {
            using var merged = PeftMerge.WeightedAdapter("merged", Backend, [module], [-0.5], new PeftMergeOptions { Combination = type, Density = 0.5 });
            foreach (var (path, lora) in merged.Updates)
            {
                Assert.Equal((3, 1f), (lora.Rank, lora.Scale));
                float[] want = [.. module.Updates[path].Factors().Delta().Select(static d => -0.5f * d)];
                Tiny.Close(want, lora.Factors().Delta(), 1e-6, path);
            }
        }
    }

    [Fact]
    public void Linear_is_not_the_average_of_the_products()
    {
        using var model = Tiny.Model(Backend);
        using var first = Tiny.Module(model, "first", 3, static _ => (3, 5));
        using var second = Tiny.Module(model, "second", 4, static _ => (3, 4));
        var linear = new PeftMergeOptions { Combination = PeftCombination.Linear };
        using var merged = PeftMerge.WeightedAdapter("merged", Backend, [first, second], [0.5, 0.5], linear);
        foreach (var (path, lora) in merged.Updates)
        {
            var average = Factors.Cat([first.Updates[path].Factors(), second.Updates[path].Factors()], [0.5f, 0.5f]);
            var off = Factors.Cat([lora.Factors(), average], [1, -1]).Norm();
            Assert.True(off > 0.3 * average.Norm(), $"{path}: off by {off} where the average has the norm {average.Norm()}");
        }
    }

    [Fact]
    public void Dare_draws_its_masks_from_the_seed()
    {
        using var model = Tiny.Model(Backend);
        using var module = Tiny.Module(model, "m", 3, static _ => (4, 8));
        var path = module.Updates.Keys.First();
        float[] A(ulong seed)
        {
            var options = new PeftMergeOptions { Combination = PeftCombination.DareLinear, Density = 0.5, Seed = seed };
            using var merged = PeftMerge.WeightedAdapter("merged", Backend, [module, module], [1, 0], options);
            return merged.Updates[path].A.Value.ToArray();
        }
        var (a, whole) = (A(1), module.Updates[path].A.Value.ToArray());
        Assert.Equal(a, A(1));
        Assert.NotEqual(a, A(2));
        Assert.InRange(a.Count(static x => x != 0), 40, 88);                       // of 128; four deviations of 5.7 around 64
        for (var i = 0; i < a.Length; i++) if (a[i] != 0) Assert.Equal(whole[i] * MathF.Sqrt(2) / 0.5f, a[i], 1e-5);    // √(w s) / density
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        using var model = Tiny.Model(Backend);
        using var narrow = Tiny.Module(model, "narrow", 3, static _ => (3, 5));
        using var wide = Tiny.Module(model, "wide", 4, static _ => (5, 5));
        void Refused(LoraModule[] modules, double[] weights, PeftMergeOptions options, string named)
        {
            var error = Assert.Throws<ArgumentException>(() => PeftMerge.WeightedAdapter("m", Backend, modules, weights, options));
            Assert.Contains(named, error.Message, StringComparison.Ordinal);
        }
        Refused([narrow, wide], [1, 1], new() { Combination = PeftCombination.Ties }, "one rank, not of 3, 5");
        Refused([narrow, wide], [1], new(), "1 weights for 2 modules");
        Refused([], [], new(), "0 modules");
        Refused([narrow, wide], [1, 1], new() { Density = 1.5 }, "density 1.5");
        Refused([narrow, wide], [1, 1], new() { SvdClamp = 2 }, "quantile 2");
        Refused([narrow, wide], [1, 1], new() { Combination = PeftCombination.DareLinearSvd, Density = 0.5, Masks = static _ => [1] }, "a mask of 1 entries");
    }
}
