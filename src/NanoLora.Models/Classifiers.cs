using NanoLora.Nn;

namespace NanoLora.Models;

// A decoder with a head over classes. No token sees those after it, so padding behind a text changes nothing and needs no mask. With the last token's state
// and no bias this is what transformers calls …ForSequenceClassification; its files call the head "score", and so do ours.

/// <summary>A classifier over a decoder. The parts are the decoder's, at the same paths; the head over tokens is none of them.</summary>
internal sealed class DecoderClassifier : TextClassifier
{
    private readonly LanguageModel _model;

    public DecoderClassifier(LanguageModel model, TextPooling pooling)
        : base(model.Backend, model.Names.With("head", ClassifierFile.Score), model.Source, ClassifierFile.WithoutPooler(model.Source, pooling))
    {
        _model = model;
        Adopt(model, "head");
    }

    /// <inheritdoc/>
    public override int Vocabulary => _model.Vocabulary;

    /// <inheritdoc/>
    public override int MaxPositions => _model.MaxPositions;

    /// <inheritdoc/>
    public override int FeatureSize => _model.Width;

    /// <summary>Builds the classifier of an open file.</summary>
    public static DecoderClassifier Read(TextFile file, TextPooling? pooling)
    {
        var hasHead = file.Has($"{ClassifierFile.Score}.weight");
        var said = ClassifierFile.Pooling(file.Json) ?? (hasHead ? TextPooling.Last : TextPooling.Mean);
        ClassifierFile.WithoutPooler(file.Path, pooling ?? said);
        var model = new DecoderClassifier(LanguageModel.Of(file), pooling ?? said);
        if (!hasHead || model.Pooling != said) return model;
        try
        {
            var labels = VitFile.LabelsOf(file.Json.Labels(), model.Names, file.Checkpoint);
            var bias = file.Has($"{ClassifierFile.Score}.bias");
            model.SetHead(file.Weights(model.Names).Linear("head", labels.Length, model.FeatureSize, bias, wide: true), labels);
            return model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public override void Save(string folder)
    {
        if (Head is null) throw new InvalidOperationException($"{Source}: there is no head to save; give it one with NewHead, or save the decoder.");
        var config = _model.ConfigJson();
        var standard = Pooling == TextPooling.Last && Head.Bias is null;
        TextFile.Write(this, folder, json => ClassifierFile.Write(json, config, this, standard), IsTransposed);
    }

    /// <inheritdoc/>
    internal override bool IsTransposed(string path) => _model.IsTransposed(path);

    /// <inheritdoc/>
    public override void Dispose()
    {
        base.Dispose();
        _model.Dispose();                                                              // the head over tokens; a second time changes nothing for the rest
    }

    private protected override Tensor States(Tensor tokens, Tensor? segments, ReadOnlySpan<int> lengths)
    {
        ClassifierFile.WithoutSegments(Source, segments);
        return Pooling == TextPooling.MeanThenNorm ? _model.Stream(tokens, Trace) : _model.States(tokens, Trace);
    }

    private protected override Tensor LastNorm(Tensor x) => _model.Normed(x);
}

/// <summary>A classifier over the encoder of a T5. The parts are the encoder's and its embedding, at the same paths.</summary>
internal sealed class EncoderClassifier : TextClassifier
{
    private readonly T5 _model;

    public EncoderClassifier(T5 model, TextPooling pooling)
        : base(model.Backend, model.Names.With("head", ClassifierFile.Score), model.Source,
            ClassifierFile.AfterNorm(model.Source, ClassifierFile.WithoutPooler(model.Source, pooling)))
    {
        _model = model;
        Adopt(model, "decoder", "head");
    }

    /// <inheritdoc/>
    public override int Vocabulary => _model.Vocabulary;

    /// <inheritdoc/>
    public override int MaxPositions => int.MaxValue;

    /// <inheritdoc/>
    public override int FeatureSize => _model.Width;

    /// <inheritdoc/>
    public override void Save(string folder) => throw new InvalidOperationException(
        $"{folder}: files of a T5 have no place for a head over classes; save the T5, and the head with its adapter.");

    /// <inheritdoc/>
    public override void Dispose()
    {
        base.Dispose();
        _model.Dispose();
    }

    private protected override Tensor States(Tensor tokens, Tensor? segments, ReadOnlySpan<int> lengths)
    {
        ClassifierFile.WithoutSegments(Source, segments);
        return _model.Encode(tokens, lengths, Trace, prefix: "").States;
    }
}
