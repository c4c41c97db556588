using NanoLora.Nn;

namespace NanoLora.Tests.Composition;

/// <summary>Which linears an adapter goes to, and how it starts.</summary>
public sealed class AttachTests : EngineTest
{
    [Theory]
    [InlineData("*.attn.(q|v)", 4)]
    [InlineData("blocks.0.*", 6)]
    [InlineData("blocks.?.mlp.fc1", 2)]
    [InlineData("head", 1)]
    public void A_pattern_matches_whole_paths(string pattern, int count)
    {
        using var model = Tiny.Model(Backend);
        Assert.Equal(count, Attach.Matching(model, pattern).Count);
    }

    [Theory]
    [InlineData("attn.q")]
    [InlineData("blocks.0.attn.q.weight")]
    [InlineData("(a|b")]
    public void What_matches_nothing_or_is_no_pattern_is_refused_by_name(string pattern)
    {
        using var model = Tiny.Model(Backend);
        Assert.Contains($"\"{pattern}\"", Assert.Throws<ArgumentException>(() => Attach.Matching(model, pattern)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_new_LoRA_changes_nothing_and_starts_as_in_the_paper()
    {
        using var model = Tiny.Model(Backend);
        using var scope = Backend.Scope(grad: false);
        var images = Backend.Main.From(Tiny.Normal(2 * 16 * 16, 9, 1), new Shape(2, 1, 16, 16));
        var before = model.Forward(images).ToArray();
        var module = Attach.Lora(model, "*.attn.(q|v)", rank: 4, alpha: 6, ranks: [new("*.1.attn.q", 2)], alphas: [new("*.v", 3f)], rankStabilised: true);
        Assert.Equal(before, model.Forward(images).ToArray());
        var (q, v) = (module.Updates["blocks.1.attn.q"], module.Updates["blocks.0.attn.v"]);
        Assert.Equal((2, 6f / MathF.Sqrt(2)), (q.Rank, q.Scale));
        Assert.Equal((4, 3f / 2), (v.Rank, v.Scale));
        Assert.All(v.B.Value.ToArray(), static x => Assert.Equal(0, x));
        var a = v.A.Value.ToArray();
        Assert.All(a, static x => Assert.InRange(Math.Abs(x), 0, 1 / Math.Sqrt(32)));                      // Kaiming-uniform: ±1 / √in
        Assert.InRange(a.Select(Math.Abs).Max(), 0.9 / Math.Sqrt(32), 1 / Math.Sqrt(32));
        Assert.True(q.A.Trains && q.B.Trains && !model.LinearAt("blocks.0.attn.q").Weight.Trains);
    }

    [Fact]
    public void A_rank_of_zero_is_refused()
    {
        using var model = Tiny.Model(Backend);
        Assert.Contains("rank 0 for blocks.0.attn.q",
            Assert.Throws<ArgumentException>(() => Attach.Lora(model, "*.attn.q", rank: 0)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_module_that_does_not_fit_is_attached_nowhere()
    {
        using var model = Tiny.Model(Backend);
        using var module = Tiny.Module(model, "m", 1, static _ => (2, 5));
        var more = new Dictionary<string, Lora>(module.Updates) { ["blocks.9.attn.q"] = module.Updates["blocks.0.attn.q"] };
        var error = Assert.Throws<ArgumentException>(() => Attach.Module(model, new LoraModule("more", more)));
        Assert.Contains("blocks.9.attn.q", error.Message, StringComparison.Ordinal);
        Assert.All(model.Linears(), static linear => Assert.Null(linear.Value.Adapter));
    }

    [Fact]
    public void Where_one_adapter_cannot_be_merged_none_is()
    {
        using var model = Tiny.Model(Backend);
        Attach.Module(model, Tiny.Module(model, "m", 1, static _ => (2, 5)));
        var before = Tiny.Values(model);
        model.LinearAt("blocks.1.mlp.fc2").Adapter = new Unmergeable();
        Assert.Throws<NotSupportedException>(() => Attach.Merge(model));
        Assert.All(model.Linears(), static linear => Assert.False(linear.Value.IsMerged));
        Assert.Equal(before, Tiny.Values(model));
    }

    private sealed class Unmergeable : Adapter
    {
        public override Tensor Apply(Linear host, Tensor x, Tensor y) => y;

        public override Factors Factors() => throw new NotSupportedException("it has none.");
    }
}
