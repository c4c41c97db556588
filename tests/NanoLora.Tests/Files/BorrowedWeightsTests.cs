using System.Text;
using NanoLora.Models;
using NanoLora.Nn;
using NanoLora.Tests.Training;

namespace NanoLora.Tests.Files;

/// <summary>Weights that stay in the mapping of their file: who keeps it, what is written to them, and the same bits as copies give.</summary>
public sealed class BorrowedWeightsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("nanolora-borrowed-").FullName;
    private readonly CpuBackend _backend = new(threads: 1) { BorrowsWeights = true };

    public void Dispose()
    {
        _backend.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private string At(string name) => Path.Combine(_folder, name);

    private static bool Borrows => !OperatingSystem.IsWindows();

    [Fact]
    public void A_tensor_lives_on_when_its_checkpoint_is_disposed_and_the_file_is_replaced()
    {
        var path = Written(2, 3, 5);
        Tensor w;
        using (var file = Checkpoint.Open(path)) w = file.Load("w", _backend.Main);
        Assert.Equal(Borrows ? 0 : 1, _backend.LiveBlocks);                              // of the pool
        SafetensorsWriter.Write(path, [new TensorSource("w", [3], new float[] { 7, 7, 7 })]);
        Assert.Equal([2, 3, 5], w.ToArray());

        using var more = w.Reshape(3, 1);                                                // the last to hold it closes the file
        w.Dispose();
        Assert.Equal([2, 3, 5], more.ToArray());
        if (OperatingSystem.IsLinux()) Assert.Contains(_folder, File.ReadAllText("/proc/self/maps"), StringComparison.Ordinal);
        more.Dispose();
        if (OperatingSystem.IsLinux()) Assert.DoesNotContain(_folder, File.ReadAllText("/proc/self/maps"), StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_written_to_a_weight_is_in_no_file_and_in_no_other_weight()
    {
        var path = Written(2, 3, 5);
        var before = File.ReadAllBytes(path);
        using var file = Checkpoint.Open(path);
        using var w = file.Load("w", _backend.Main);
        _backend.Upload<float>([8, 9, 10], w);
        Assert.Equal([8, 9, 10], w.ToArray());
        Assert.Equal(before, File.ReadAllBytes(path));
        using var again = Checkpoint.Open(path);
        using var other = again.Load("w", _backend.Main);
        Assert.Equal([2, 3, 5], other.ToArray());
    }

    [Fact]
    public void What_is_not_aligned_or_not_of_the_type_is_copied()
    {
        var path = At("odd.safetensors");
        var json = """
            {"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[2],"data_offsets":[1,9]},
             "c":{"dtype":"BF16","shape":[1],"data_offsets":[9,11]}}
            """;
        var header = Encoding.UTF8.GetBytes(json.PadRight((json.Length + 7) / 8 * 8));
        byte[] data = [1, .. BitConverter.GetBytes(2f), .. BitConverter.GetBytes(3f), 0x80, 0x3f];
        File.WriteAllBytes(path, [.. BitConverter.GetBytes((long)header.Length), .. header, .. data]);
        using var file = Checkpoint.Open(path);
        using var b = file.Load("b", _backend.Main);
        using var c = file.Load("c", _backend.Main);
        Assert.Equal(2, _backend.LiveBlocks);
        Assert.Equal([2, 3], b.ToArray());
        Assert.Equal([1], c.ToArray());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_model_computes_and_trains_to_the_same_bits(bool halves)
    {
        var config = new LlamaConfig
        {
            Vocabulary = 19, HiddenSize = 12, Layers = 2, Heads = 2, KeyHeads = 1, HeadSize = 6, IntermediateSize = 20, MaxPositions = 16, TiedHead = true,
        };
        using (var made = Llama.Create(config, _backend, seed: 1))
        using (var saved = made.As(halves ? DType.BF16 : DType.F32)) saved.Save(At("model"));
        var file = At("model/model.safetensors");
        var before = File.ReadAllBytes(file);
        using var copies = new CpuBackend(threads: 2);
        Assert.Equal(Losses(copies), Losses(_backend));
        Assert.Equal(before, File.ReadAllBytes(file));
        Assert.Equal(0, _backend.LiveBlocks);

        double[] Losses(CpuBackend backend)
        {
            using var model = TextGenerator.LoadModel(At("model"), backend);
            if (backend.BorrowsWeights && Borrows)
                Assert.True(backend.LiveBlocks < 10, $"{backend.LiveBlocks} blocks for {model.Parameters().Count()} weights");
            if (halves) Attach.Lora(model, "blocks.*", rank: 2, seed: 3);
            else foreach (var (_, parameter) in model.Parameters()) parameter.Trains = true;
            var history = Trainer.Fit(model,
                new TokenRows(9, config.Vocabulary, seed: 5), new FitOptions { Steps = 6, BatchSize = 3, BaseRate = 1e-2, FactorRate = 1e-2 });
            return [.. history.Steps.Select(s => s.Loss)];
        }
    }

    private string Written(params float[] values)
    {
        var path = At("w.safetensors");
        SafetensorsWriter.Write(path, [new TensorSource("w", [values.Length], values)]);
        return path;
    }
}
