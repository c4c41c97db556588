using System.Runtime.InteropServices;
using System.Text.Json;
using NanoLora.Models;

namespace NanoLora.Tests.Models;

/// <summary>How a token is chosen: the logits processors of transformers, and what is drawn from what they leave.</summary>
public sealed class SamplerTests
{
    private static readonly string Vectors = Path.Combine(AppContext.BaseDirectory, "Golden", "generation", "sampling.json");

    /// <summary>Of 96 rows of logits, the same tokens are left as in the reference, with the same scores.</summary>
    [Fact]
    public void LeavesWhatTransformersLeaves()
    {
        using var json = JsonDocument.Parse(File.ReadAllBytes(Vectors));
        var count = 0;
        foreach (var one in json.RootElement.GetProperty("cases").EnumerateArray())
        {
            var settings = one.GetProperty("settings");
            var name = settings.GetRawText();
            double Number(string field, double missing) => settings.TryGetProperty(field, out var value) ? value.GetDouble() : missing;
            var options = new GenerationOptions
            {
                Temperature = Number("temperature", 1), TopK = (int)Number("top_k", 0), TopP = Number("top_p", 1), MinP = Number("min_p", 0),
                RepetitionPenalty = Number("repetition_penalty", 1), NoRepeatNgram = (int)Number("no_repeat_ngram", 0),
                MinTokens = (int)Number("min_tokens", 0),
            };
            int[] ends = settings.TryGetProperty("stop", out var stop) ? Ints(stop) : [];
            var sampler = new Sampler(options, Ints(one.GetProperty("prompt")), ends, row: 0);
            foreach (var token in Ints(one.GetProperty("added"))) sampler.Take(token);
            var (logits, kept, scores) = (Floats(one.GetProperty("logits")), Ints(one.GetProperty("kept")), Floats(one.GetProperty("scores")));
            sampler.Process(logits);
            var left = Enumerable.Range(0, logits.Length).Where(i => logits[i] > float.NegativeInfinity).ToArray();
            Assert.True(kept.SequenceEqual(left), $"{name}, {logits.Length} tokens: {left.Length} are left where {kept.Length} should be.");
            for (var i = 0; i < kept.Length; i++) Assert.Equal(scores[i], logits[kept[i]], 1e-6f * Math.Max(1, Math.Abs(scores[i])));
            count++;
        }
        Assert.Equal(96, count);

        static int[] Ints(JsonElement list) => [.. list.EnumerateArray().Select(static e => e.GetInt32())];
        static float[] Floats(JsonElement base64) => MemoryMarshal.Cast<byte, float>(base64.GetBytesFromBase64()).ToArray();
    }

    /// <summary>Each token comes as often as softmax says, over rows and over steps.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void DrawsByTheProbabilities(bool overRows)
    {
        float[] x = [0.3f, -1, 2, 0, 1.5f, -3];
        var p = Softmax(x);
        const int draws = 20_000;
        var options = new GenerationOptions { Temperature = 1, Seed = 5 };
        var counts = new int[x.Length];
        var steps = new Sampler(options, [0], [], row: 9);
        for (var i = 0; i < draws; i++) counts[(overRows ? new Sampler(options, [0], [], (ulong)i) : steps).Next((float[])x.Clone())]++;
        for (var i = 0; i < x.Length; i++)
        {
            var deviation = Math.Sqrt(draws * p[i] * (1 - p[i]));
            Assert.InRange(counts[i], draws * p[i] - 4.5 * deviation, draws * p[i] + 4.5 * deviation);
        }
    }

    [Fact]
    public void TheSameSeedDrawsTheSameAndAnotherRowDoesNot()
    {
        Assert.Equal(Text(seed: 3, row: 0), Text(seed: 3, row: 0));
        Assert.NotEqual(Text(seed: 3, row: 0), Text(seed: 4, row: 0));
        Assert.NotEqual(Text(seed: 3, row: 0), Text(seed: 3, row: 1));

        static int[] Text(ulong seed, ulong row)
        {
            var sampler = new Sampler(new GenerationOptions { Temperature = 1, Seed = seed }, [0], [], row);
            return [.. Enumerable.Range(0, 30).Select(_ => sampler.Next(new float[50]))];
        }
    }

    /// <summary>No bound is passed: the likeliest stays, whatever is asked for.</summary>
    [Theory]
    [InlineData(1e-9, 0)]
    [InlineData(1, 1)]
    [InlineData(0.2, 1)]
    public void TheLikeliestStays(double topP, double minP)
    {
        var sampler = new Sampler(new GenerationOptions { Temperature = 0.01, TopP = topP, MinP = minP, TopK = 1 }, [0], [], row: 0);
        float[] x = [1, 900, 2, -900];
        Assert.Equal(1, sampler.Next(x));
    }

    [Fact]
    public void EqualsAreCutFromTheEnd()
    {
        var sampler = new Sampler(new GenerationOptions { Temperature = 1, TopP = 0.45 }, [0], [], row: 0);
        var x = new float[10];
        sampler.Process(x);
        Assert.Equal([0f, 0, 0, 0, 0], x[..5]);
        Assert.All(x[5..], static y => Assert.Equal(float.NegativeInfinity, y));
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void LogitsThatAreNotFiniteAreRefused(float bad)
    {
        var sampler = new Sampler(new GenerationOptions { Temperature = 1 }, [0], [], row: 0);
        Assert.Contains("not finite", Assert.Throws<InvalidOperationException>(() => sampler.Next([1, bad, 2])).Message, StringComparison.Ordinal);
        var greedy = new Sampler(new GenerationOptions { NoRepeatNgram = 1 }, [0, 1, 2], [], row: 0);
        Assert.Contains("every token is out", Assert.Throws<InvalidOperationException>(() => greedy.Next([1, 2, 3])).Message, StringComparison.Ordinal);
    }

    public static TheoryData<string, GenerationOptions> Senseless => new()
    {
        { "MaxTokens", new() { MaxTokens = 0 } }, { "Temperature", new() { Temperature = -1 } }, { "Temperature", new() { Temperature = double.NaN } },
        { "Temperature", new() { Temperature = 1e-60 } }, { "TopK", new() { TopK = -1 } }, { "TopP", new() { TopP = 0 } }, { "TopP", new() { TopP = 1.1 } },
        { "MinP", new() { MinP = -0.1 } }, { "RepetitionPenalty", new() { RepetitionPenalty = 0 } }, { "NoRepeatNgram", new() { NoRepeatNgram = -2 } },
        { "MinTokens", new() { MinTokens = -1 } }, { "Context", new() { Context = 0 } }, { "Stop", new() { Stop = [100] } },
        { "StopStrings", new() { StopStrings = [""] } }, { "StopStrings", new() { StopStrings = ["a\uD83D"] } },
    };

    [Theory]
    [MemberData(nameof(Senseless), DisableDiscoveryEnumeration = true)]
    public void OptionsThatMakeNoSenseAreRefusedByName(string name, GenerationOptions options) =>
        Assert.Contains($"GenerationOptions: {name} ", Assert.Throws<ArgumentException>(() => options.Checked(100)).Message, StringComparison.Ordinal);

    private static double[] Softmax(float[] x)
    {
        var e = Array.ConvertAll(x, static v => Math.Exp(v));
        return Array.ConvertAll(e, v => v / e.Sum());
    }
}
