using NanoLora.Nn;

namespace NanoLora.Fuzz;

/// <summary>Adapter folders: an input is adapter_config.json up to its first NUL, and then the weights, safetensors or PyTorch.</summary>
public sealed class PeftTarget : CheckpointTarget
{
    private readonly CpuBackend _backend = new(1);
    private readonly Base _model;
    private readonly int _blocks;

    /// <summary>Makes the base.</summary>
    public PeftTarget()
    {
        _model = new Base(_backend);
        _blocks = _backend.LiveBlocks;
    }

    // A regular expression becomes an automaton before it says no: of up to 10,000 characters and repeats, by the limits of PeftPattern.
    /// <inheritdoc/>
    protected override long AllocationFloor => 64 << 20;

    /// <inheritdoc/>
    protected override IReadOnlyList<string> Write(byte[] input)
    {
        var end = Array.IndexOf(input, (byte)0) is var at and >= 0 ? at : input.Length;
        return [Put("adapter_config.json", input.AsSpan(0, end)), Put("adapter_model.safetensors", input.AsSpan(Math.Min(end + 1, input.Length)))];
    }

    /// <inheritdoc/>
    protected override void Read()
    {
        using var module = PeftFolder.Load(Folder, _model);
        foreach (var lora in module.Updates.Values)
        {
            if (lora.A.Value.Rows != lora.Rank || lora.B.Value.Cols != lora.Rank) throw new FindingException("factors that do not fit their rank");
        }
    }

    /// <inheritdoc/>
    protected override void Clean()
    {
        if (_backend.LiveBlocks != _blocks) throw new FindingException($"{_backend.LiveBlocks - _blocks} blocks of memory were not given back");
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        _model.Dispose();
        _backend.Dispose();
        base.Dispose(disposing);
    }

    /// <summary>The linears of a Llama of two layers, under the names of its checkpoint.</summary>
    private sealed class Base : Model
    {
        private const int Width = 32, Inner = 44, Vocabulary = 96;

        public Base(Backend backend) : base(backend, new NameMap(), "base")
        {
            for (var layer = 0; layer < 2; layer++)
            {
                foreach (var name in (ReadOnlySpan<string>)["q_proj", "k_proj", "v_proj", "o_proj"])
                    Add($"model.layers.{layer}.self_attn.{name}", Width, Width);
                Add($"model.layers.{layer}.mlp.gate_proj", Inner, Width);
                Add($"model.layers.{layer}.mlp.up_proj", Inner, Width);
                Add($"model.layers.{layer}.mlp.down_proj", Width, Inner);
            }
            Add("lm_head", Vocabulary, Width, "head");
        }

        public override Tensor Forward(Tensor inputs) => throw new NotSupportedException("It has no forward pass: it only says which linears there are.");

        private void Add(string name, int rows, int cols, string? path = null)
        {
            using var weight = Backend.Main.From(new float[rows * cols], new Shape(rows, cols));
            Names.Add(path ?? name, name);
            Part(path ?? name, new Linear(weight));
        }
    }
}
